"""Scripts planned without a job file: what is read in them, and what is asked for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dispatcher.errors import JobFileError
from dispatcher.jobfile.script import load_script
from tests.unit.jobfile.scripts import TABLE, TORCH, TRAINER, VISION, here, holds, said, unread

__all__ = ["here"]


ESTIMATORS = [
    ("from sklearn.ensemble import RandomForestClassifier\nRandomForestClassifier(n_estimators=250, max_depth=12)",
     {"model__library": "sklearn", "model__algorithm": "RandomForestClassifier", "model__trees": 250, "model__depth": 12}),
    ("from sklearn import ensemble\nensemble.HistGradientBoostingRegressor(max_iter=300, max_leaf_nodes=63, max_bins=128)",
     {"model__algorithm": "HistGradientBoostingRegressor", "model__trees": 300, "model__leaves": 63, "model__bins": 128}),
    ("from xgboost import XGBClassifier\nXGBClassifier(n_estimators=500, max_depth=8, tree_method='hist', device='cuda')",
     {"model__library": "xgboost", "model__trees": 500, "model__depth": 8, "resources__gpu": 1}),
    ("import xgboost as xgb\nP = {'max_depth': 9, 'eta': 0.1}\nxgb.train(P, xgb.DMatrix(table), num_boost_round=70)",
     {"model__library": "xgboost", "model__algorithm": "gradient-boosting", "model__depth": 9, "model__trees": 70}),
    ("import lightgbm as lgb\nlgb.train(dict(num_leaves=15, max_bin=63), lgb.Dataset(table), 200)",
     {"model__library": "lightgbm", "model__leaves": 15, "model__bins": 63, "model__trees": 200}),
    ("import lightgbm as lgb\nlgb.train({'num_leaves': 15}, lgb.Dataset(table))", {"model__trees": 100}),
    ("from catboost import CatBoostRegressor\nCatBoostRegressor(iterations=900, depth=7, task_type='GPU')",
     {"model__library": "catboost", "model__trees": 900, "model__depth": 7, "resources__gpu": 1}),
    ("from cuml.ensemble import RandomForestClassifier\nRandomForestClassifier(n_estimators=64, n_bins=32)",
     {"model__library": "cuml", "model__trees": 64, "model__bins": 32}),
    ("from sklearn.svm import SVC\nfrom sklearn.decomposition import PCA\nmake_pipeline(PCA(10), SVC())",
     {"model__algorithm": "SVC"}),
    ("from sklearn.ensemble import RandomForestClassifier as RF\nRF(n_estimators=7)",
     {"model__algorithm": "RandomForestClassifier", "model__trees": 7}),
    ("from sklearn.cluster import KMeans\nKMeans(8).fit(table)", {"model__algorithm": "KMeans"}),
    ("import xgboost\nparams = {'n_estimators': 40}\nxgboost.XGBRegressor(**params, max_depth=3)",
     {"model__trees": 40, "model__depth": 3}),
]  # fmt: skip


@pytest.mark.parametrize(("code", "expected"), ESTIMATORS)
def test_an_estimator_is_read_with_its_arguments(here: Path, code: str, expected: dict[str, Any]) -> None:
    found = said(here, TABLE + code)
    holds(found, **expected, dataset__samples=300, dataset__columns=4, dataset__path="data/people.csv")


THREADS = [
    ("from sklearn.ensemble import RandomForestClassifier\nRandomForestClassifier(n_jobs=-1)", -1),
    ("from sklearn.ensemble import RandomForestClassifier\nRandomForestClassifier(n_jobs=4)", 4),
    ("from sklearn.ensemble import RandomForestClassifier\nRandomForestClassifier(n_jobs=None)", 1),
    ("from sklearn.ensemble import RandomForestClassifier\nRandomForestClassifier(10)", 1),
    ("import os\nfrom sklearn.ensemble import ExtraTreesClassifier\nExtraTreesClassifier(n_jobs=os.cpu_count())", -1),
    ("from sklearn.ensemble import HistGradientBoostingClassifier\nHistGradientBoostingClassifier()", None),
    ("from sklearn.linear_model import LogisticRegression\nLogisticRegression(n_jobs=2)", None),
    ("import xgboost\nxgboost.XGBClassifier(n_jobs=3)", 3),
    ("import xgboost\nxgboost.XGBClassifier()", None),
    ("import lightgbm as lgb\nlgb.train({'num_threads': 2, 'num_leaves': 9}, data, 50)", 2),
]


@pytest.mark.parametrize(("code", "expected"), THREADS)
def test_the_cores_of_an_estimator_are_its_n_jobs_or_its_librarys_default(here: Path, code: str, expected: int | None) -> None:
    assert expected == said(here, TABLE + code).get("model.threads")


FOREST = "from sklearn.ensemble import RandomForestClassifier as RF\nfrom sklearn.ensemble import RandomForestClassifier\n"
SEARCHES = [
    ("GridSearchCV(RandomForestClassifier(), {'max_depth': [3, 5, 7], 'min_samples_leaf': [1, 2]}, cv=4, n_jobs=-1)",
     {"candidates": 6, "folds": 4, "jobs": -1}),
    ("GRID = [{'a': [1, 2]}, {'b': range(3)}]\nGridSearchCV(RandomForestClassifier(), GRID)", {"candidates": 5, "folds": 5}),
    ("RandomizedSearchCV(RandomForestClassifier(), D, n_iter=30, cv=KFold(n_splits=3))", {"candidates": 30, "folds": 3}),
    ("GridSearchCV(RandomForestClassifier(), {'max_depth': [3, None], 'a': list(('x', 'y')), 'b': [1] + [2, 3]})",
     {"candidates": 12, "folds": 5}),
    ("GridSearchCV(RandomForestClassifier(), {'a': [10**i for i in range(4)], 'b': np.array([1, 2]), 'c': [True, None]})",
     {"candidates": 16, "folds": 5}),
    ("RandomizedSearchCV(RandomForestClassifier(), D)", {"candidates": 10, "folds": 5}),
    ("GridSearchCV(RandomForestClassifier(), {'C': np.logspace(-3, 3, 7), 'g': np.arange(0, 1, 0.25)})",
     {"candidates": 28, "folds": 5}),
    ("cross_val_score(RandomForestClassifier(), X, y, cv=RepeatedKFold(n_splits=5, n_repeats=2), n_jobs=2)",
     {"candidates": 1, "folds": 10, "jobs": 2}),
]  # fmt: skip


@pytest.mark.parametrize(("code", "expected"), SEARCHES)
def test_a_search_is_multiplied_out(here: Path, code: str, expected: dict[str, int]) -> None:
    found = said(here, TABLE + FOREST + code)
    assert expected == {key.rpartition(".")[2]: value for key, value in found.items() if key.startswith("model.search.")}


@pytest.mark.parametrize(
    "code",
    [
        "GridSearchCV(RandomForestClassifier(), make_grid())",
        "GridSearchCV(RandomForestClassifier(), {'a': values(), 'b': [1]})",
        "HalvingGridSearchCV(RandomForestClassifier(), {'a': [1, 2]})",
    ],
)
def test_a_search_that_cannot_be_counted_is_asked_for(here: Path, code: str) -> None:
    assert "line 5" in unread(here, TABLE + FOREST + code)["model.search.candidates"]


def test_trees_in_a_grid_count_by_their_mean(here: Path) -> None:
    (here / "train.py").write_text(TABLE + FOREST + "GridSearchCV(RandomForestClassifier(), {'n_estimators': [100, 300]})\n")
    job = load_script("train.py")
    assert job.config.model is not None
    assert 200 == job.config.model.trees
    assert "mean of 100, 300 in train.py line 5" == job.origins["model.trees"]


@pytest.mark.parametrize("tried", ["[3, None, 10]", "[-1, 4]", "[None]", "list((None, 8))"])
def test_a_depth_that_a_grid_also_leaves_open_is_counted_without_limit(here: Path, tried: str) -> None:
    (here / "train.py").write_text(TABLE + FOREST + f"GridSearchCV(RandomForestClassifier(), {{'max_depth': {tried}}})\n")
    job = load_script("train.py")
    assert job.config.model is not None
    assert job.config.model.depth is None
    assert any("max_depth" in note and "without that limit" in note for note in job.notes) == (tried != "[None]")


def test_a_random_search_between_two_bounds_counts_by_their_middle(here: Path) -> None:
    found = said(
        here,
        TABLE
        + FOREST
        + "RandomizedSearchCV(RandomForestClassifier(), {'n_estimators': randint(100, 500), 'max_depth': [4, 8]})",
    )
    holds(found, model__trees=300, model__depth=6)


ARCH = """
import argparse
import torchvision.models as models
parser = argparse.ArgumentParser()
parser.add_argument("--arch", default="resnet34")
parser.add_argument("--batch-size", type=int, %s)
args = parser.parse_args()
"""


@pytest.mark.parametrize(
    "made", ["models.__dict__[args.arch](pretrained=True)", "getattr(models, args.arch)()", "vars(models)[args.arch]()"]
)
def test_a_network_that_is_looked_up_by_a_flags_default_is_read(here: Path, made: str) -> None:
    (here / "train.py").write_text(ARCH % "default=32" + f"net = {made}\n")
    job = load_script("train.py", sets={"dataset.samples": 100, "training.epochs": 1})
    assert job.config.model is not None
    assert "resnet34" == job.config.model.name


@pytest.mark.parametrize(
    ("content", "trouble"), [(None, "does not exist"), (bytes(range(256)) * 9, "is not text"), (b"a,b\n", "no rows")]
)
def test_trouble_with_the_scripts_data_is_told_where_rows_are_missing(here: Path, content: bytes | None, trouble: str) -> None:
    if content:
        (here / "other.csv").write_bytes(content)
    read = "import pandas\nfrom sklearn.ensemble import RandomForestClassifier\npandas.read_csv('other.csv')\n"
    (here / "train.py").write_text(read + "RandomForestClassifier()\n")
    with pytest.raises(JobFileError) as caught:
        load_script("train.py")
    (rows,) = [one for one in caught.value.problems if one.path == "dataset.samples"]
    assert trouble in rows.message


def test_a_flag_that_must_be_given_is_asked_for_by_its_name(here: Path) -> None:
    assert "--batch-size" in unread(here, ARCH % "required=True" + "models.resnet18()\n")["training.batch_size"]


def test_the_searched_estimator_is_the_one_that_is_planned(here: Path) -> None:
    text = (
        TABLE
        + FOREST
        + "from sklearn.svm import SVC\nbase = SVC()\nf = RF()\nGridSearchCV(estimator=base, param_grid={'C': [1, 2]})\n"
    )
    holds(said(here, text), model__algorithm="SVC", model__search__candidates=2)


def test_of_two_estimators_one_is_asked_for_and_can_be_named(here: Path) -> None:
    (here / "train.py").write_text(
        TABLE + "from xgboost import XGBClassifier\nfrom sklearn.svm import SVC\nSVC()\nXGBClassifier(n_estimators=9)\n"
    )
    with pytest.raises(JobFileError) as asked:
        load_script("train.py")
    assert "SVC in line 5, XGBClassifier in line 6" in asked.value.problems[0].message
    job = load_script("train.py", sets={"model.algorithm": "XGBClassifier"})
    assert job.config.model is not None
    assert ("xgboost", 9) == (job.config.model.library, job.config.model.trees)


BUNDLED = [
    ("from sklearn.datasets import load_iris\nload_iris()", 150, 4),
    ("from sklearn import datasets\ndatasets.fetch_covtype(return_X_y=True)", 581012, 54),
    ("from sklearn.datasets import make_classification\nmake_classification(n_samples=5000, n_features=30)", 5000, 30),
    ("from sklearn.datasets import make_regression\nN = 10**4\nmake_regression(N)", 10000, 100),
]


@pytest.mark.parametrize(("code", "rows", "columns"), BUNDLED)
def test_tables_that_a_library_brings_have_their_known_size(here: Path, code: str, rows: int, columns: int) -> None:
    holds(said(here, code + "\n" + FOREST + "RF()"), dataset__samples=rows, dataset__columns=columns)


READS = [
    ("pd.read_csv('data/people.csv', nrows=50, usecols=['age', 'y'])", 50, 2),
    ("FOLDER = 'data'\npd.read_csv(f'{FOLDER}/people.csv')", None, None),
    ("FOLDER = 'data'\npd.read_csv(FOLDER + '/people.csv')", 300, 4),
    ("pd.read_csv(os.path.join('data', 'people.csv'))", 300, 4),
    ("ROOT = Path('data')\npd.read_csv(ROOT / 'people.csv')", 300, 4),
    ("pd.read_csv(sys.argv[1])", None, None),
    ("pd.read_csv('https://example.org/people.csv')", None, None),
    ("pd.read_csv('data/other.csv')", None, None),
    ("test = pd.read_csv('data/test.csv')\ntrain = pd.read_csv('data/people.csv')", 300, 4),
]


@pytest.mark.parametrize(("code", "rows", "columns"), READS)
def test_a_file_is_counted_where_its_path_can_be_told_and_it_is_there(
    here: Path, code: str, rows: int | None, columns: int | None
) -> None:
    holds(said(here, "import pandas as pd\n" + FOREST + code), dataset__samples=rows, dataset__columns=columns)


NETWORKS = [
    (TRAINER + "TrainingArguments('out', per_device_train_batch_size=4, gradient_accumulation_steps=8, num_train_epochs=2,"
     " bf16=True, optim='adamw_bnb_8bit', gradient_checkpointing=True)",
     {"batch_size": 4, "gradient_accumulation": 8, "epochs": 2, "precision": "amp-bf16", "optimizer": "adamw-8bit",
      "gradient_checkpointing": True}),
    (TRAINER + "TrainingArguments('out')", {"batch_size": 8, "epochs": 3, "optimizer": "adamw", "precision": None}),
    (TRAINER + "TrainingArguments('out', max_steps=500)", {"steps": 500, "epochs": None}),
    (TRAINER + "kw = dict(per_device_train_batch_size=2, fp16=True)\nTrainingArguments('o', **kw)",
     {"batch_size": 2, "precision": "amp-fp16"}),
    (TRAINER + "from peft import LoraConfig\nLoraConfig(r=32, target_modules='all-linear')",
     {"method": "lora", "lora_rank": 32, "lora_targets": "all-linear"}),
    (TRAINER + "from peft import LoraConfig\nBitsAndBytesConfig(load_in_4bit=True)\nLoraConfig()",
     {"method": "qlora", "lora_rank": 8}),
    (TORCH + "BATCH_SIZE = 2 ** 5\nDataLoader(d, BATCH_SIZE, shuffle=True, num_workers=0)\nDataLoader(t, batch_size=256)",
     {"batch_size": 32, "workers": 0}),
    (TORCH + "torch.optim.SGD(p, lr=1, momentum=0.9)\nfor epoch in tqdm(range(7)):\n    pass",
     {"optimizer": "sgd-momentum", "epochs": 7}),
    (TORCH + "torch.optim.SGD(p, lr=1)\nwith torch.autocast('cuda', dtype=torch.bfloat16):\n    torch.compile(m)",
     {"optimizer": "sgd", "precision": "amp-bf16", "compile": True}),
    (TORCH + "Accelerator(mixed_precision='fp16', gradient_accumulation_steps=3)",
     {"precision": "amp-fp16", "gradient_accumulation": 3}),
    (TORCH + "L.Trainer(max_epochs=12, precision='bf16-mixed', accumulate_grad_batches=2)",
     {"epochs": 12, "precision": "amp-bf16", "gradient_accumulation": 2}),
    (TORCH + "@dataclass\nclass C:\n    batch_size: int = 48\n    epochs: int = field(default=6)\n",
     {"batch_size": 48, "epochs": 6}),
    (TORCH + "@dataclass\nclass C:\n    batch_size: int = 48\nc = C(batch_size=24)\nDataLoader(d, c.batch_size, shuffle=True)",
     {"batch_size": 24}),
    (TORCH + "CONFIG = {'bs': 20}\nDataLoader(d, batch_size=CONFIG['bs'], shuffle=True)", {"batch_size": 20}),
]  # fmt: skip


@pytest.mark.parametrize(("code", "expected"), NETWORKS)
def test_a_trainings_settings_are_read(here: Path, code: str, expected: dict[str, Any]) -> None:
    holds(said(here, code), **{f"training__{key}": value for key, value in expected.items()})


NAMES = [
    (TRAINER + "@dataclass\nclass A:\n    name: str = field(default='gpt2')\np = HfArgumentParser((A, TrainingArguments))\n"
     "a, t = p.parse_args_into_dataclasses()\nAutoModel.from_pretrained(a.name)", "gpt2"),
    (TRAINER + "M = 'bert-base-uncased'\nAutoModelForSequenceClassification.from_pretrained(M)", "bert-base-uncased"),
    (TRAINER + "AutoTokenizer.from_pretrained('gpt2')\nGPT2LMHeadModel.from_pretrained('gpt2-medium')", "gpt2-medium"),
    (TRAINER + "AutoModel.from_pretrained('./local')", None),
    ("from unsloth import FastLanguageModel\nFastLanguageModel.from_pretrained(model_name='unsloth/llama-3-8b-bnb-4bit')",
     "unsloth/llama-3-8b"),
    (VISION + "models.resnet50(weights=None)", "resnet50"),
    (VISION + "models.efficientnet_b0()", "efficientnet_b0"),
    ("import timm\ntimm.create_model('vit_base_patch16_224')", "vit_base_patch16_224"),
    ("from ultralytics import YOLO\nYOLO('yolov8n.pt').train(data='coco.yaml', imgsz=640)", "yolov8n"),
]  # fmt: skip


@pytest.mark.parametrize(("code", "name"), NAMES)
def test_a_models_name_is_read(here: Path, code: str, name: str | None) -> None:
    assert name == said(here, code).get("model.name")


def test_images_have_the_side_they_are_cropped_to(here: Path) -> None:
    code = (
        VISION
        + "transforms.Resize(256)\ntransforms.CenterCrop((224, 224))\nmodels.resnet18()\ndatasets.CIFAR10('d', train=True)"
    )
    holds(said(here, code), model__image_size=224, dataset__samples=50000)


@pytest.mark.parametrize(
    ("more", "side"),
    [
        ("transform=transforms.ToTensor()", 32),
        ("transform=transforms.Compose([transforms.Resize(224), transforms.ToTensor()])", 224),
        ("transform=models.EfficientNet_B0_Weights.DEFAULT.transforms()", None),
    ],
)
def test_images_have_their_collections_size_unless_something_changes_it(here: Path, more: str, side: int | None) -> None:
    text = VISION + f"models.efficientnet_b0()\ntorch.utils.data.DataLoader(datasets.CIFAR10('d', {more}), batch_size=8)\n"
    assert side == said(here, text).get("model.image_size")
