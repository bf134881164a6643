#!/bin/sh
# Powers this machine off, which terminates it. Harder each time: shutdowns have been seen to hang behind a driver.
logger -t mlrun "ending: $1" || true
timeout 10 sync || true
timeout 20 systemctl --no-block poweroff
sleep 120
timeout 20 systemctl poweroff --force
sleep 60
timeout 20 systemctl poweroff --force --force
sleep 30
echo o >/proc/sysrq-trigger
