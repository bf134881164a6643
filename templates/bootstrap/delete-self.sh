#!/bin/sh
# Deletes this machine by its service account. Never powers it off: that only stops it, forgets its limit and keeps its disk.
# Without the account nothing happens here: the machine waits for its user, or for the limit that Google keeps.
metadata=http://169.254.169.254/computeMetadata/v1
ask() { curl -sf -m 10 -H 'Metadata-Flavor: Google' "$@"; }
token=$(ask "$metadata/instance/service-accounts/default/token" | sed -n 's/.*"access_token": *"\([^"]*\)".*/\1/p')
[ -n "$token" ] || exit 0
logger -t mlrun "ending: $1" || true
timeout 10 sync || true
project=$(ask "$metadata/project/project-id")
zone=$(ask "$metadata/instance/zone")
name=$(ask "$metadata/instance/name")
ask -X DELETE -H "Authorization: Bearer $token" "@COMPUTE@/compute/v1/projects/$project/zones/${zone##*/}/instances/$name"
