"""LightGBM, asked for the same trees every time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from apportion.engine.layout import F8
from apportion.model.errors import InputError


def fit_trees(
    seen: F8,
    wanted: F8,
    objective: str,
    categorical: Sequence[int],
    *,
    rounds: int,
    leaves: int,
    weight: F8 | None = None,
    alpha: float = 0.5,
    alone: bool = False,
) -> Any:
    """Return trees fitted to rows of features.

    Parameters
    ----------
    seen: f8[rows, features]. wanted: f8[rows]. categorical: features that are numbers of categories.
    weight: of rows. alpha: of the objective `quantile`.
    alone: one feature a tree.

    Raises
    ------
    InputError: LightGBM is not installed.
    """
    try:
        import lightgbm
    except ImportError:
        raise InputError("this model needs LightGBM: pip install 'apportion[predict]'") from None
    settings: dict[str, Any] = {
        "objective": objective, "alpha": alpha, "learning_rate": 0.05, "num_leaves": leaves, "min_data_in_leaf": 30,
        "min_sum_hessian_in_leaf": 1e-3, "lambda_l2": 1.0, "cat_smooth": 20.0,
        "bagging_fraction": 0.7, "bagging_freq": 1, "verbose": -1, "seed": 0, "deterministic": True,
        "force_row_wise": True, "num_threads": 1,
    }  # fmt: skip
    if alone:
        settings["interaction_constraints"] = [[i] for i in range(seen.shape[1])]
    else:
        settings["feature_fraction"] = 0.7
    rows = lightgbm.Dataset(seen, wanted, weight=weight, categorical_feature=list(categorical), params={"verbose": -1})
    return lightgbm.train(settings, rows, rounds)
