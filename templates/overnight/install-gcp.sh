mkdir -p /usr/local/lib/mlrun
put 0644 /usr/local/lib/mlrun/gcp.py <<'MLRUN_FILE'
@GCP@
MLRUN_FILE
