"""What jobs print of their progress, as their libraries print it."""

from __future__ import annotations

import time

import pytest

from dispatcher.metrics.progress import Mark, Output, told

PRINTED = {
    " 45%|████▌     | 450/1000 [00:10<00:12, 45.00it/s, loss=0.3]": ("step", 450, 1000, None, False),
    "Training:  45%|████▌     | 450/1000 [00:10<00:12,  1.20s/it]": ("step", 450, 1000, None, False),
    "450it [00:10, 45.00it/s]": ("step", 450, None, None, False),
    "epochs:  10%|█         | 2/20 [00:10<01:30,  5.00s/it]": ("epoch", 2, 20, None, False),
    "Epoch 0:  12%|█▏        | 23/188 [00:01<00:10, 15.5it/s, v_num=0]": ("step", 23, 188, None, True),
    "Epoch 0/9 ━━━━━━━━━━━━━━ 23/188 0:00:01 • 0:00:10 15.50it/s v_num: 0": ("step", 23, 188, 10, True),
    " 12/1563 ━━━━━━━━━━━━━━━━━━━━ 5s 3ms/step - loss: 1.2": ("step", 12, 1563, None, False),
    "\x1b[1m  1/100\x1b[0m \x1b[37m━━━━━━━━━━━━━━━━━━━━\x1b[0m \x1b[1m4s\x1b[0m 47ms/step": ("step", 1, 100, None, False),
    " 12/1563 [>.............................] - ETA: 1:02 - loss: 0.5": ("step", 12, 1563, None, False),
    "1563/1563 - 5s - 3ms/step - loss: 0.4": ("step", 1563, 1563, None, False),
    "Epoch 3/20": ("epoch", 3, 20, None, False),
    "{'loss': 2.3, 'grad_norm': 1.5, 'learning_rate': 5e-05, 'epoch': 0.5}": ("epoch", 0.5, None, None, False),
    "{'loss': '2.3', 'learning_rate': '5e-05', 'epoch': '0.5'}": ("epoch", 0.5, None, None, False),
    "Epoch: [0][ 10/1563]\tTime  0.100 ( 0.110)": ("step", 10, 1563, None, True),
    "[12]\tvalidation_0-logloss:0.51234": ("round", 13, None, None, False),
    "building tree 3 of 100": ("round", 3, 100, None, False),
    "iter 100: loss 3.2041, time 500.12ms, mfu 30.1%": ("step", 100, None, None, False),
    "step  25  loss 3.21": ("step", 25, None, None, False),
    '{"event": "step", "step": 25, "loss": 3.2, "total": 300}': ("step", 25, 300, None, False),
    "step 100/1000: loss 3.14": ("step", 100, 1000, None, False),
}
ASIDE = [
    "model.safetensors:  45%|████▌     | 450M/1.00G [00:10<00:12, 45.0MB/s]",
    "Map: 100%|██████████| 1000/1000 [00:01<00:00, 900 examples/s]",
    "Sanity Checking DataLoader 0: 100%|██████████| 2/2 [00:00<00:00, 30it/s]",
    "Validation DataLoader 0:  50%|█████     | 5/10 [00:00<00:00, 10it/s]",
    "loaded 12/100 files in 2026-11-20/data",
    "accuracy 0.5",
]


@pytest.mark.parametrize("line", PRINTED)
def test_a_line_of_progress_is_read(line):
    (mark,) = Output().feed(f"{line}\n".encode(), 7.0)

    assert (mark.unit, mark.done, mark.total, mark.epochs, mark.each_epoch) == PRINTED[line]
    assert mark.at == 7.0


@pytest.mark.parametrize("line", ASIDE)
def test_what_is_beside_the_training_is_no_progress(line):
    assert Output().feed(f"{line}\n".encode(), 1.0) == []


def test_a_bar_that_still_stands_open_counts_at_once_and_only_once():
    output = Output()

    first = output.feed(b"\r 1%|   | 1/100 [00:01<01:39, 1.00it/s]", 1.0)
    then = output.feed(b"\r 2%|   | 2/100 [00:02<01:38, 1.00it/s]", 2.0)

    assert [(mark.done, mark.at) for mark in (*first, *then)] == [(1, 1.0), (2, 2.0)]


def test_a_line_that_comes_in_two_pieces_is_read_when_it_is_whole():
    output = Output()

    assert output.feed(b"step 10/", 1.0) == []
    assert [mark.done for mark in output.feed(b"200 loss 1\n", 2.0)] == [10]


def test_keras_goes_back_over_its_line_with_backspaces():
    bars = b" 1/100 \xe2\x94\x81\xe2\x94\x81 9s 9ms/step" + b"\x08" * 20 + b" 2/100 \xe2\x94\x81\xe2\x94\x81 9s 9ms/step\n"

    assert [mark.done for mark in Output().feed(bars, 1.0)] == [1, 2]


def test_an_epochs_header_tells_how_often_the_bar_below_it_runs():
    output = Output()
    output.feed(b"Epoch 1/20\n", 1.0)

    (mark,) = output.feed(b" 12/1563 [>........] - ETA: 1:02\n", 2.0)

    assert (mark.each_epoch, mark.epochs) == (True, 20)


def test_one_line_may_hold_the_epoch_and_the_step():
    marks = Output().feed(b"Epoch [3/20], Step [40/100], Loss: 0.3\n", 1.0)

    assert [(mark.unit, mark.done, mark.total) for mark in marks] == [("epoch", 3, 20), ("step", 40, 100)]


def test_a_job_may_count_itself_in_rows_of_json():
    assert told({"step": 40, "total": 100}, 2.0) == Mark(2.0, "step", 40, 100, "DISPATCHER_PROGRESS")
    assert told({"step": 4, "total": 10, "epoch": 3, "epochs": 20}, 2.0).epochs == 20
    assert told({"fraction": 0.25}, 2.0).total == 1.0
    assert told({"epoch": 3, "epochs": 20}, 2.0).unit == "epoch"


@pytest.mark.parametrize("row", [{}, {"loss": 1.0}, {"step": "40"}, {"step": True}, {"step": -1}, {"step": None}])
def test_rows_that_count_nothing_are_left_out(row):
    assert told(row, 1.0) is None


def test_bytes_that_are_no_text_do_no_harm():
    assert Output().feed(bytes(range(256)) * 50, 1.0) == []


HOSTILE = [" " * 4096, "\t" * 4096, "a " * 2048, "1%|" * 1365, " 1%||1/1 [" * 409, "9it [9" * 600, "1/1 [" + "=" * 4090,
           "{'loss': " + "'epoch': 1.1.1" * 290, "step " + "1" * 4000, '{"' + "[" * 4000]  # fmt: skip


@pytest.mark.parametrize("line", HOSTILE)
def test_no_line_takes_long_to_read(line):
    output, begun = Output(), time.process_time()

    output.feed(line.encode(), 1.0)
    output.feed(b"\n", 2.0)

    assert time.process_time() - begun < 30  # it took minutes


ABSURD = [
    "{'loss': 1.0, 'epoch': 1.2.3}",
    "{'loss': 1.0, 'epoch': ...}",
    f'{{"step": {"9" * 400}}}',
    '{"step": Infinity}',
    f"[{'9' * 400}] loss: 1",
    f"step {'9' * 400}",
]


@pytest.mark.parametrize("line", ABSURD)
def test_figures_that_are_none_are_left_out(line):
    assert Output().feed(f"{line}\n".encode(), 1.0) == []


def test_a_total_without_end_is_none():
    assert told({"step": 1, "max_steps": float("inf")}, 1.0) == Mark(1.0, "step", 1, None, "DISPATCHER_PROGRESS")


def test_the_rest_of_a_line_whose_beginning_was_missed_is_not_read():
    output = Output()
    output.feed(b"step 1", 1.0)
    output.missed()

    marks = [*output.feed(b"2/1563 ", 2.0), *output.feed(b"\nstep 13/1563\n", 3.0)]

    assert [mark.done for mark in marks] == [13]
