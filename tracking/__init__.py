"""All that speaks to MLflow beside the verbs; imports no settings and no verb."""
