"""Score a folder of Parquet files on Spark with a model's served form: rows in, the same rows and their answers out.

Reads: a Parquet folder, wherever Spark reaches; a registered model NAMEService.
Writes: a Parquet folder: the columns that were read, then `prediction` and one `probability_<class>` a class.
Run: python examples/spark_scores.py new_rows scores --model-uri models:/CancerModelService@champion
"""

import argparse
import os
import sys

import mlflow
from mlflow.exceptions import MlflowException
from pyspark.errors import AnalysisException, PythonException
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql.functions import col
from pyspark.sql.types import StructField, StructType


def raw_column(name: str) -> Column:
    """Choose a column that the model wants, whatever signs its name holds."""
    return col("`{}`".format(name.replace("`", "``")))


def free_name(name: str, rows: DataFrame) -> str:
    """Name an answer so that it can stand beside the rows: `prediction_` where they have a column `prediction`."""
    while name.lower() in {each.lower() for each in rows.columns}:  # Spark does not tell upper case from lower
        name += "_"
    return name


def scored(rows: DataFrame, model_uri: str) -> DataFrame:
    """Put the model's answers beside the rows.

    Args:
        rows: with the raw columns of the model, in any order; further ones are kept.
        model_uri: of a model NAMEService.
    """
    signature = mlflow.models.get_model_info(model_uri).signature
    # Said in full: MLflow would guess no struct for a single output, and its own schema forbids the nulls Spark allows.
    answers = StructType([StructField(free_name(spec.name, rows), spec.type.to_spark()) for spec in signature.outputs])
    answer = mlflow.pyfunc.spark_udf(rows.sparkSession, model_uri, result_type=answers, env_manager="local")
    told = rows.withColumn("answer of the model", answer(*map(raw_column, signature.inputs.input_names())))
    return told.select("*", "`answer of the model`.*").drop("answer of the model")


def main() -> None:
    """Score a folder; end with one sentence where the caller can mend what went wrong."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("input", help="folder of Parquet files")
    parser.add_argument("output", help="folder to write, not there yet")
    parser.add_argument("--model-uri", default="models:/CancerModelService@champion")
    options = parser.parse_args()
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)  # the workers need the same packages
    # In UTC, as the model takes moments with a zone; Spark would hand them over by this machine's clock.
    spark = SparkSession.builder.appName("treeline").config("spark.sql.session.timeZone", "UTC").getOrCreate()
    try:
        scored(spark.read.parquet(options.input), options.model_uri).write.parquet(options.output)
    except (AnalysisException, MlflowException) as error:
        sys.exit(f"error: {error}")
    except PythonException as error:
        sys.exit(f"error: {str(error).strip().splitlines()[-1]}")
    finally:
        spark.stop()


if __name__ == "__main__":
    main()
