"""Grows a random forest on scikit-learn's scans of handwritten digits, and says how good it gets on the way."""

import argparse
import json
import pickle
from pathlib import Path

from sklearn.datasets import load_digits
from sklearn.ensemble import RandomForestClassifier
from sklearn.metrics import accuracy_score
from sklearn.model_selection import train_test_split

arguments = argparse.ArgumentParser(description=__doc__)
arguments.add_argument("--trees", type=int, default=400)
arguments.add_argument("--step", type=int, default=40, help="trees between two reports")
arguments.add_argument("--seed", type=int, default=7)
arguments.add_argument("--out", type=Path, default=Path("runs/digits"))
options = arguments.parse_args()

images, labels = load_digits(return_X_y=True)
train_x, test_x, train_y, test_y = train_test_split(images, labels, test_size=0.25, random_state=options.seed, stratify=labels)
print(f"{len(train_x)} digits to learn from, {len(test_x)} to be tested on")

forest = RandomForestClassifier(n_estimators=0, warm_start=True, random_state=options.seed)
accuracy = 0.0
for trees in [*range(options.step, options.trees, options.step), options.trees]:
    forest.set_params(n_estimators=trees)
    forest.fit(train_x, train_y)
    accuracy = accuracy_score(test_y, forest.predict(test_x))
    print(f"trees {trees:4d}/{options.trees}   test accuracy {accuracy:.4f}")

options.out.mkdir(parents=True, exist_ok=True)
(options.out / "model.pkl").write_bytes(pickle.dumps(forest))
metrics = {"test_accuracy": accuracy, "trees": options.trees, "test_digits": len(test_x), "seed": options.seed}
(options.out / "metrics.json").write_text(json.dumps(metrics, indent=2) + "\n")
print(f"wrote {options.out}/model.pkl and metrics.json")
