"""Values that no setting can have, by what they are taken for; `bad_inputs` gives them to every entry point."""

LONG, NUL, SURROGATES = "x" * 1_000_000, "a\0b", "gr\udcf6\udcdfe"
WORDS = ["   ", NUL, "a\nb", LONG, "１２", "nan", "inf", "1e400", "0x10", "true", "yes", "None", "−1", "[1, 2]"]
WORDS += ['{"a": 1}', SURROGATES, "../../etc/passwd", "😀", "a b" * 20_000, "\x1b[31mred", "'", '"', "$(id)", "`", ";"]
WORDS += ["%00", "\u202e"]
NO_NUMBERS = ["", *(word for word in WORDS), "1_000", "1,5", "1e", "--1", "1 2", "٣", "1e-400x", "1" * 5_000, "0b1"]
NO_SWITCHES = ["", "   ", NUL, "maybe", "2", "tru", LONG, SURROGATES, "None", "nan", "[true]"]
NO_FILES = [NUL, LONG, SURROGATES, "missing.csv", "missing.parquet", "../../etc/passwd", "/dev/null"]
NO_FILES += ["/proc/self/mem.csv"]
NO_FILES += ["http://", "http://127.0.0.1:1/x.csv", "s3:", "file://", "runs:/", "runs:/unknown/x.csv"]
NO_FILES += ["models:/x/1/y.csv"]
NO_FILES += ["empty.csv", "folder", "folder.csv", "x" * 300 + ".csv", "nosuch://x/y.csv", "   ", "http://[::1/x.csv"]
NO_FILES += ["::", "zip://x::y"]
NO_COLUMNS = [NUL, LONG, SURROGATES, "no such column", "mean radiu", "mean radius,,no such", '"', '"mean radius']
NO_COLUMNS += ["１２", "😀"]
NO_COLUMNS += ["mean radius;mean texture", "*", "target", "mean radius,target", "0", "nan", "[1]", "a\nb"]
NO_RUNS = [NUL, LONG, SURROGATES, "unknown", "   ", "../..", "0" * 32, "😀", "a\nb", "'; drop table runs; --", "%"]
NO_RUNS += ["<training>x"]
NO_NAMES = [NUL, "x" * 300, "a/b", "a\nb", "..", "a:b", "😀@x", " a", "a ", "%41", SURROGATES, LONG, "'"]
NO_NAMES += ["CancerModelService"]
NO_STUDIES = [NUL, "x" * 300, "東" * 100, "a/b", "../x", "a\nb", "😀", SURROGATES, LONG, "a:b", "$(id)", "'", "*"]
NO_STORAGES = [NUL, "x", "://", "sqlite", "sqlite:///missing/x.db", "postgresql://127.0.0.1:1/x"]
NO_STORAGES += ["redis://127.0.0.1:1", LONG]
NO_STORAGES += ["mysql://", "http://127.0.0.1:1", SURROGATES, "sqlite:////proc/x.db", "sqlite:///folder"]
NO_STORAGES += ["postgresql://[", "sqlite:///\0"]
NO_SCORES = ["accuracy", "accuracy=nan", "accuracy=inf", "acuracy=0.9", "=1", "accuracy="]
NO_SCORES += ["accuracy=0.9,accuracy=0.8", NUL, LONG]
NO_SCORES += ["rmse=1", "accuracy=1e400", "accuracy=１", "accuracy=1_0", "accuracy=0x1", "accuracy==1", "a\nb=1"]
NO_SCORES += ["accuracy:0.9", SURROGATES]
NO_SCORES += ["accuracy=2", "roc_auc=1.5", "accuracy=−1"]
NO_COSTS = ["fp", "fp=nan", "fp=inf", "pf=1", "fp=1,fp=2", "fp=1;fn=2", "=1", NUL, LONG, "fp=1e400", "fp=１"]
NO_COSTS += ["fp=1_0", "FP=1", SURROGATES]
NO_THRESHOLDS = ["0", "1", "-0.1", "2", "nan", "inf", "F2", "cost", "1e400", "0.5x", LONG, NUL, "0.５", "1_0e-3"]
NO_THRESHOLDS += ["0,5", SURROGATES, "   "]
NO_ROWS = ["0", "1-", "-1", "3-1", "1-1e9", "１-３", NUL, LONG, "a", "1--3", "1-99999999", "1;2", SURROGATES, "1.5"]
NO_ENCODINGS = [word for word in WORDS if word != "１２"] + [
    "utf-99",
    "hex",
    "rot13",
    "base64",
    "zip",
    "undefined",
    "１２",
]
NO_VERSIONS = ["0", "99", "-1", "１", "1.0", "01x", "latest", NUL, LONG, SURROGATES, "champion", "1e1", "²"]
NO_MODELS = ["", "   ", NUL, "CancerModel", "CancerModel/", "CancerModel/99", "CancerModel@nobody", "/1"]
NO_MODELS += ["@champion", LONG, "a\nb"]
NO_MODELS += ["CancerModel/１", "CancerModel@champion@x", "CancerModel//1", "models:/", "x/1/2", SURROGATES]
NO_MODELS += ["CancerModel/-1", "x" * 300 + "/1"]
NO_MODELS += ["cancermodel/1", "CancerModel/1.0", "😀/1", "../CancerModel/1"]
NO_URIS = [word for word in NO_MODELS if word.strip()] + [
    "models:/CancerModel",
    "models:/CancerModelService/99",
    "runs:/x/y",
    "http://127.0.0.1:1/m",
]
NO_OUTPUTS = ["", NUL, "missing/x.csv", "folder", "x" * 300 + ".csv", "/proc/x.csv", "/dev/full", LONG, SURROGATES]
NO_OUTPUTS += ["x.xyz", "http://127.0.0.1/x.csv"]
NO_BUNDLES = ["", NUL, "missing/x.zip", "folder", "/proc/x.zip", "x" * 300 + ".zip", LONG, SURROGATES, "mlflow.db"]
NO_BUNDLES += ["/proc/x/y"]
NO_SOURCES = ["", NUL, "missing.zip", "folder", "empty.csv", "mlflow.db", LONG, SURROGATES, "/proc/self"]
NO_SOURCES += ["/dev/null", "x" * 300, "http://127.0.0.1/x.zip"]
EXPRESSIONS = [
    "x = 10**10**10",
    "x = " + "(" * 5_000 + "1" + ")" * 5_000,
    "x = " + "-" * 20_000 + "1",
    "x = " + "+".join(["`mean radius`"] * 20_000),
    "x = `mean radius`.__class__",
    "x = 1 + 2",
    "x = __import__('os').system('id')",
    "x = 'a' * 1000000000",
    "x = 1 < `mean radius` < 2",
    "x = `no such column` / 2",
    "x = lambda: 1",
    "x = [1 for _ in range(9)]",
    "x = `mean radius` if 1 else 2",
    "x = 1e400",
    "x = " + "9" * 5_000,
    "x = `mean radius` and 1",
    "x = log(`mean radius`, 2)",
    "x = log()",
    "x = exec(1)",
    "x = `mean radius`[0]",
    "x = 1j",
    "x = True",
    "x = None",
    "x = ...",
    "x = b'a'",
    "x = f'{1}'",
    "x = (y := 1)",
    "x = await y",
    "x = *a",
    "x",
    "= 1",
    "x =",
    "x == 1",
    "class = `mean radius`; class = 1",
    "`mean radius` = 1",
    "x = `mean radius",
    "x = ``",
    "x = for",
    "x = 0777",
    "x = 1_000 +",
    "x = １",
    "x = `mean radius` ** `no such`",
    "x = \N{MATHEMATICAL BOLD SMALL A}",
    "x = a\\\nb",
    NUL,
    SURROGATES,
    LONG,
    "x = " + "abs(" * 3_000 + "1" + ")" * 3_000,
    "target = `mean radius`",
    "x = 1",
    "x = 2 ** 3",
    "x = `mean radius` @ 2",
    "x = ~`mean radius`",
    "x = not 1",
    "x = `mean radius` | 1",
    "x = `mean radius` is 1",
    "x = `mean radius` in 1",
    "x\ny = `mean radius`",
    "x\0 = `mean radius`",
    "   = `mean radius`",
]
BOMB = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{new}: &{new} [{', '.join([f'*{old}'] * 9)}]\n" for old, new in zip("abcdefgh", "bcdefghi", strict=True)
)
SPACES: list[bytes] = [
    each.encode("utf-8", "surrogateescape")
    for each in [
        "",
        "   ",
        "[]",
        "null",
        "1",
        "just text",
        BOMB,
        BOMB.replace("a: &a", "max_depth: &a") + "gamma: *i\n",
        "max_depth: 2020-99-99",
        "max_depth: 2147483648",
        "min_child_weight: 1e300",
        "learning_rate: 1e-300",
        "a: &a [*a]\n",
        "max_depth: &a [*a]\n",
        "interaction: &a [*a]\n",
        "monotone: &a {x: *a}\n",
        "max_depth: " + "[" * 100_000,
        "max_depth: " + "[" * 100_000 + "]" * 100_000,
        "max_depth: " + "{a: " * 5_000 + "1" + "}" * 5_000,
        "a: " * 3,
        "- " * 100_000 + "1",
        "max_depth: !!python/object/apply:os.system [id]",
        "max_depth: !!python/name:os.system",
        "!!python/object:object {}",
        "max_depth: !!binary aGVsbG8=",
        "max_depth: !!set {a, b}",
        "max_depth: !!timestamp 2020-01-01",
        "max_depth: 2020-01-01",
        "max_depth: 0x10000000000000000000",
        "max_depth: 1e400",
        "max_depth: .nan",
        "max_depth: .inf",
        "max_depth: -.inf",
        "max_depth: 0",
        "max_depth: -1",
        "max_depth: 1.5",
        "max_depth: true",
        "max_depth: yes",
        "max_depth: null",
        "max_depth: []",
        "max_depth: {}",
        "max_depth: [[1]]",
        "max_depth: [1, 1, {}]",
        "max_depth: 3\nmax_depth: 4\n",
        "max_depth: {low: 3, low: 4, high: 5}",
        "max_depth: " + "9" * 5_000,
        "max_depth: 1" + "0" * 30,
        "max_depth: {low: 1, high: 1" + "0" * 30 + "}",
        "max_dept: 3",
        "eta: 0.1",
        "? [1, 2]\n: 3\n",
        "1: 2",
        "null: 3",
        "max_depth: {low: 8, high: 3}",
        "max_depth: {low: 3}",
        "max_depth: {low: 3, high: 8, log: maybe}",
        "max_depth: {low: 3, high: 8, step: 0}",
        "gamma: {low: 0, high: 1, log: true}",
        "gamma: {low: .nan, high: 1}",
        "gamma: {low: 0, high: .inf}",
        "gamma: {low: 0, high: 1e308, log: 1}",
        "learning_rate: 0",
        "learning_rate: 2",
        "learning_rate: a tenth",
        "learning_rate: １",
        "learning_rate: 0o17",
        "learning_rate: 017",
        "learning_rate: 1:30",
        "subsample: 0",
        "grow_policy: fast",
        "grow_policy: [depthwise, []]",
        "grow_policy: [depthwise, {}]",
        "grow_policy: {}",
        "grow_policy: [[depthwise]]",
        "grow_policy: {low: 1, high: 2}",
        "objective: reg:nonsense",
        "objective: {a: 1}",
        "monotone: 1",
        "monotone: {mean radius: 2}",
        "monotone: {mean radius: up}",
        "monotone: {mean radius: [1]}",
        "monotone: {no such column: 1}",
        "monotone: {? [1] : 1}",
        "interaction: 1",
        "interaction: [[]]",
        "interaction: [[no such column]]",
        "interaction: [[mean radius, [x]]]",
        "interaction: {a: b}",
        "max_depth: &a 3\ngamma: *b\n",
        "max_depth: 3\n\tgamma: 1\n",
        "max_depth: 3: 4",
        "--- 1\n--- 2\n",
        "%YAML 9.9\n--- {}\n",
        "<<: {max_depth: 0}\n",
        "<<: 3\n",
        "\0",
        "max_depth: \ud800".encode("utf-8", "surrogatepass").decode("utf-8", "surrogateescape"),
        'max_depth: "\\ud800"',
        "x" * 10_000_000,
        "a: " + "x" * 10_000_000,
        "".join(f"k{number}: 1\n" for number in range(100_000)),
    ]
]
SPACES += [b"\xff\xfe\xff", b"\x1f\x8b\x08\x00garbage", b"PK\x03\x04garbage", "max_depth: 0".encode("utf-16")]
SPACES += [bytes(range(256))]
OPTIONS = [
    "n_trials=glob(*)",
    "data=glob(*)",
    "data=glob([a,b])",
    "seed=range(0,1e12)",
    "seed=range(0,1000000000000)",
    "seed=range(0,1,0)",
    "seed=range(0,10,-1)",
    "seed=range(1,nan)",
    "seed=range(0,inf)",
    "test_size=range(0.1,0.9,1e-12)",
    "seed=choice(" + ",".join(map(str, range(10_001))) + ")",
    "seed=range(0,200) n_trials=range(1,200)",
    "seed=" + ",".join(map(str, range(10_001))),
    "seed=interval(0,1)",
    "seed=tag(a,1,2)",
    "seed=shuffle(range(0,1e12))",
    "seed=sort(range(0,1e12))",
    "seed=extend_list(1)",
    "hydra.run.dir=/tmp/x",
    "hydra.run.dir=/tmp/x seed=1,2",
    "hydra.sweep.dir=/tmp/x seed=1,2",
    "hydra.output_subdir=x seed=1,2",
    "hydra.searchpath=[file:///tmp] seed=1,2",
    "hydra.job.chdir=true seed=1,2",
    "hydra/launcher=nosuch seed=1,2",
    "hydra/launcher=../../x seed=1,2",
    "hydra/sweeper=nosuch seed=1,2",
    "hydra/launcher=joblib hydra.launcher.n_jobs=nan seed=1,2",
    "hydra.mode=RUN seed=1,2",
    "hydra.nosuch=1 seed=1,2",
    "hydra=null seed=1",
    "data=${oc.env:HOME}",
    "data=${oc.env:NO_SUCH_VARIABLE}",
    "data=${nosuch:1}",
    "data=${data}",
    "seed=${",
    "study_name=a,a",
    "study_name=a seed=1,2",
    "~data",
    "~data seed=1,2",
    "+x=1",
    "++x=1",
    "+seed=1,2 +seed=3",
    "seed=1 seed=2",
    "target='it''s'",
    "target='a",
    "target=\"a'",
    "seed=[1,2",
    "seed={a:1}",
    "data={a:1}",
    "data=[1,2]",
    "seed=1,,2",
    "seed=,",
    "=1",
    "seed==1",
    "seed",
    "-m",
    "--multirun",
    "-m -m",
    "--cfg job",
    "--help",
    "--config-dir=/tmp seed=1",
    "-cn x seed=1",
    "dry_run=true",
    "dry_run=true,false",
    "n_trials=0,1",
    "n_trials=1e300",
    "promote=never,maybe",
    "min_score='accuracy=nan'",
    "\\",
    "seed=\\",
    "seed@x=1",
    "data@a:b=1",
    "a.b.c=1",
    "seed.x=1",
    "seed=1,2;n_trials=2",
    "{" * 2_000,
    "seed=" + "[" * 2_000,
    "seed=" + "(" * 2_000,
    "n-trials=2",
    "seed=int(a)",
    "seed=str(",
    "seed=nosuch(1)",
    "seed=１,２",
    "seed=null",
    "   ",
    "",
    NUL,
    SURROGATES,
    LONG,
    "😀=1",
    "study_name=" + "x" * 300,
    "study_name=a/b,c",
]
