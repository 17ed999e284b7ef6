"""Attacks on privacy and on the model, as pure functions of updates, models and data.

For learning: run them on models and data of your own, as the lessons do. Each function says what
the attacker must know, and where the attack ends.

``metrics`` (how good is a reconstruction), ``reconstruction``, ``matching`` and ``traps`` (examples
from a gradient), ``labels`` (classes from an update), ``membership`` (was this example in the
training data), ``sources`` (who sent this update), ``roc`` (how good is a yes-no attack),
``poisoning`` (clients that cheat).
"""

from fedcore.attacks import (
    labels,
    matching,
    membership,
    metrics,
    poisoning,
    reconstruction,
    roc,
    sources,
    traps,
)
from fedcore.attacks.labels import label_counts, label_of_one, label_shares
from fedcore.attacks.matching import match_gradient
from fedcore.attacks.membership import (
    Shadows,
    confidences,
    lira_leave_one_out,
    lira_scores,
    loss_scores,
    losses,
    train_shadows,
)
from fedcore.attacks.metrics import best_match, mse, psnr, share_recovered, ssim
from fedcore.attacks.poisoning import (
    Malicious,
    add_trigger,
    backdoor_success,
    boost,
    flip_labels,
    flip_sign,
    plant_backdoor,
)
from fedcore.attacks.reconstruction import class_sums, invert_one, invert_units, mean_gradient
from fedcore.attacks.roc import (
    auc,
    bootstrap_interval,
    clopper_pearson,
    roc_curve,
    tpr_at_fpr,
)
from fedcore.attacks.sources import reference_deltas, source_scores
from fedcore.attacks.traps import imprint_params, invert_bins, trap_params

__all__ = [
    "Malicious",
    "Shadows",
    "add_trigger",
    "auc",
    "backdoor_success",
    "best_match",
    "boost",
    "bootstrap_interval",
    "class_sums",
    "clopper_pearson",
    "confidences",
    "flip_labels",
    "flip_sign",
    "imprint_params",
    "invert_bins",
    "invert_one",
    "invert_units",
    "label_counts",
    "label_of_one",
    "label_shares",
    "labels",
    "lira_leave_one_out",
    "lira_scores",
    "loss_scores",
    "losses",
    "match_gradient",
    "matching",
    "mean_gradient",
    "membership",
    "metrics",
    "mse",
    "plant_backdoor",
    "poisoning",
    "psnr",
    "reconstruction",
    "reference_deltas",
    "roc",
    "roc_curve",
    "share_recovered",
    "source_scores",
    "sources",
    "ssim",
    "tpr_at_fpr",
    "train_shadows",
    "trap_params",
    "traps",
]
