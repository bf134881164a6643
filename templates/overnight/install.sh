mkdir -p /usr/local/lib/mlrun
put 0644 /usr/local/lib/mlrun/fetch.py <<'MLRUN_FILE'
@FETCH@
MLRUN_FILE
put 0644 /usr/local/lib/mlrun/night.json <<'MLRUN_FILE'
@NIGHT@
MLRUN_FILE
put 0644 /etc/systemd/system/mlrun-night.service <<'MLRUN_FILE'
@UNIT@
MLRUN_FILE
put 0644 /etc/systemd/system/mlrun-over.service <<'MLRUN_FILE'
@OVER@
MLRUN_FILE
systemctl daemon-reload
systemctl enable mlrun-night.service
systemctl start --no-block mlrun-night.service
