"""What only Google's machines meet, as it is typed: names that are taken, zones that are silent, machines stopped by hand."""

from __future__ import annotations

from tests.e2e.clouds import LONGEST, Rented, on, rented

__all__ = ["rented"]
WITH_GPU = """
    resources: {gpu: T4}
    model: {family: vision, name: resnet50, image_size: 224}
    training: {batch_size: 8, epochs: 1}
    dataset: {samples: 1000}
    budget: {max_time: 20m}
    where: gcp/us-central1
    name: seen
    run: nvidia-smi -L; while true; do sleep 0.2; done
"""


@on("gcp")
def test_what_is_forged_silent_or_stopped_is_neither_believed_nor_taken_for_gone(rented: Rented) -> None:
    shell, cloud = rented.shell, rented.cloud()
    begun = shell.mlrun(shell.write(WITH_GPU), "--yes", "-d", timeout=LONGEST)
    assert begun.code == 0, begun.said
    (machine,) = rented.machines()
    forged = {"instance": machine["name"], "key": "hostkeys/ssh-ed25519", "value": "AAAAC3NzaC1lZDI1NTE5AAAAIForged"}
    cloud.control("guest", forged)
    shell.until(lambda: b"T4" in rented.mlrun("logs", "seen").stdout, "the GPU is seen in a log that is still fetched")

    cloud.control("set", {"unreachable": ["europe-west4-*"]})
    check = rented.mlrun("sweep", "--check")
    assert (True, True) == (check.code != 0, "europe-west4-a" in check.said), check.said
    cloud.control("set", {"unreachable": []})

    cloud.control("stop", {"instance": machine["name"]})
    told = rented.mlrun("attach", "seen")
    assert "stopped" in told.said, told.said
    assert "mlrun stop" in told.said, told.said
    done = rented.mlrun("stop", "seen")
    assert (0, True) == (done.code, rented.last()["teardown"]["confirmed"]), done.said
    assert ([], []) == (rented.machines(), cloud.left())


@on("gcp")
def test_a_machine_of_somebody_else_with_the_same_name_is_neither_adopted_nor_deleted(rented: Rented) -> None:
    rented.cloud().control("set", {"squatted": True})
    refused = rented.run("    run: echo never\n")
    assert (103, b"") == (refused.code, refused.stdout), refused.said
    assert "that is not ours. It was left alone" in " ".join(refused.err.split())
    assert [rented.last()["label"]] == [one["name"] for one in rented.machines()]
    assert "finished" == rented.last()["state"]
    rented.lab.reset()
