"""Other tools' keys, refused by name, with what to do instead."""

from __future__ import annotations

_CONTAINER = ("containers are not started here.", "Install with setup, or start the container in run.")
_MOUNT = ("nothing is mounted.", "Put files below workdir, and data in dataset.path; the job itself reads s3:// and gs://.")
_SERVE = ("services are not kept running here; a job ends.", "Leave it out.")
_RETRY = ("leave it out.", "Restarts after a preemption follow from checkpoint and spot.")
_PLACE = ("the place is one key.", "Write where: aws/us-east-1, where: gcp, or where: auto at the top.")
_SPOT = ("spot is a key of its own.", "Write spot: auto, true or false at the top.")
_TYPE = ("machine types are chosen by the planner.", "Give resources, or run with --machine aws:g5.xlarge.")
_DISK = ("disks are sized, not typed.", "Write resources: {disk: 100GB}.")
_GPU = ("GPUs stand under resources.", "Write resources: {gpu: A100:8}.")
_CHOICE = ("alternatives are a list of GPUs.", "Write resources: {gpu: [T4, L4]}.")

REFUSED: dict[str, tuple[str, str]] = {
    **dict.fromkeys(("image", "image_id", "docker", "container", "privileged", "registry_auth"), _CONTAINER),
    **dict.fromkeys(("file_mounts", "storage_mounts", "mounts", "volumes", "volume", "files", "repos", "repo"), _MOUNT),
    **dict.fromkeys(("service", "ports", "port", "replicas", "gateway", "ide", "scaling", "probes"), _SERVE),
    **dict.fromkeys(("retry", "job_recovery", "max_restarts", "max_restarts_on_errors", "spot_recovery"), _RETRY),
    **dict.fromkeys(("cloud", "region", "zone", "regions", "zones", "backends", "availability_zones", "infra"), _PLACE),
    **dict.fromkeys(("use_spot", "spot_policy"), _SPOT),
    **dict.fromkeys(("instance_type", "instance_types", "machine_type", "fleets"), _TYPE),
    **dict.fromkeys(("disk_size", "disk_tier", "shm_size"), _DISK),
    **dict.fromkeys(("accelerator", "accelerators", "gpus", "gpu"), _GPU),
    **dict.fromkeys(("any_of", "ordered"), _CHOICE),
    "commands": ("commands are one text here.", "Write run: a && b, or several lines below run: |"),
    "command": ("the command's key is run.", "Write run: python train.py"),
    "cmd": ("the command's key is run.", "Write run: python train.py"),
    "entrypoint": ("the command's key is run.", "Write run: python train.py"),
    "type": ("every file is one job.", "Leave it out."),
    "python": ("the Python is that of the environment.", "Name it in setup or run."),
    "working_dir": ("the folder's key is workdir.", "Write workdir: ."),
    "max_duration": ("time limits stand under budget.", "Write budget: {max_time: 3h}."),
    "max_price": ("price limits stand under budget.", "Write budget: {max_hourly: 1.20}."),
    "idle_duration": ("nothing idles: machines end with their job.", "Leave it out."),
    "stop_duration": ("nothing idles: machines end with their job.", "Leave it out."),
    "autostop": ("nothing idles: machines end with their job.", "Leave it out."),
    "<<": ("keys are not merged from elsewhere.", "Write them out."),
}
"""By name, wherever it stands and means nothing to us: the reason and the fix."""

MORE_NODES = ("a job runs on one machine.", "Leave it out; several GPUs of one machine: resources: {gpu: A100:8}.")
