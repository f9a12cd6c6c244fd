"""Names of the columns that purchasecast adds to a table."""

from __future__ import annotations

__all__ = [
    "AMOUNTS",
    "BASELINE",
    "BASE_AMOUNT",
    "BOOSTED_PREDICTION",
    "CORRUPT",
    "CUSTOMER_PATTERN",
    "CUSTOMER_ROWS",
    "EFFECT",
    "FEATURES",
    "FITS",
    "FITTED",
    "FOLD",
    "INDEX",
    "INDICATORS",
    "INTERVAL_GROUP",
    "LABEL",
    "LEVEL",
    "LINEAR_PREDICTION",
    "LOWER",
    "NO_LEVEL",
    "NULL_LEVELS",
    "NUMBER",
    "ORDER",
    "POSITION",
    "PREDICTION",
    "PRODUCT_MEAN",
    "PRODUCT_MEDIAN",
    "PRODUCT_PATTERN",
    "PRODUCT_ROWS",
    "RATIO_WEIGHT",
    "RESERVED_PREFIX",
    "SCALE",
    "STATISTICS_OF",
    "STEPS",
    "TARGET",
    "TASTE",
    "UNIT",
    "UNIT_PRICE",
    "UNIT_PRICE_AMOUNT",
    "UNKNOWN_LEVEL",
    "UNSEEN",
    "UPPER",
    "made_name",
    "source_name",
]

#: No column of a table may start with it.
RESERVED_PREFIX = "_pc_"

# What users read.
PREDICTION, LOWER, UPPER = "prediction", "lower", "upper"
AMOUNTS = "amounts"  # the steps that the amount may stand on

# What reading and validation add.
CORRUPT = "_pc_corrupt"
POSITION = "_pc_position"  # number of the row in its file

# What training adds.
FOLD = "_pc_fold"
LABEL = "label"
TARGET = "_pc_target"  # the label on the scale that the members are fitted on
ORDER = "_pc_order"  # a hash of what names the row: rows are drawn and sorted by it

# What stages hand each other.
FEATURES = "_pc_features"
BASELINE = "_pc_baseline"
FITTED = "_pc_fitted"
FITS = "_pc_fits"
TASTE = "_pc_taste"
CUSTOMER_PATTERN = "_pc_customer_pattern"
PRODUCT_PATTERN = "_pc_product_pattern"
CUSTOMER_ROWS = "_pc_customer_rows"
PRODUCT_ROWS = "_pc_product_rows"
SCALE = "_pc_scale"
UNIT = "_pc_unit"  # of the ladder that amounts of the category stand on
STEPS = "_pc_steps"  # of that ladder, with their probabilities
PRODUCT_MEAN = "_pc_product_mean"
PRODUCT_MEDIAN = "_pc_product_median"
UNIT_PRICE_AMOUNT = "_pc_unit_price_amount"  # unit price of the product x quantity
BASE_AMOUNT = "_pc_base_amount"  # quantity x unit price: what the members of a priced recipe multiply
UNIT_PRICE = "_pc_unit_price"  # begins the other columns of the unit price
INTERVAL_GROUP = "_pc_interval_group"
RATIO_WEIGHT = "_pc_ratio_weight"  # of a label as a multiple of the base amount
LINEAR_PREDICTION = "_pc_linear"
BOOSTED_PREDICTION = "_pc_boosted"

# Prefixes: the rest is the name of the column that it is made from.
LEVEL = "_pc_l_"  # level as text, with nulls replaced
INDEX = "_pc_i_"  # number of the level
INDICATORS = "_pc_h_"
NUMBER = "_pc_x_"
EFFECT = "_pc_e_"
STATISTICS_OF = "_pc_s_"
UNSEEN = "_pc_unseen_"

#: Level that replaces a null which is a level of its own, and one that is unknown.
NO_LEVEL, UNKNOWN_LEVEL = "(none)", "(unknown)"
#: The same by the meaning of nulls in the schema.
NULL_LEVELS = {"level": NO_LEVEL, "unknown": UNKNOWN_LEVEL, "forbidden": NO_LEVEL}

# Spark ML reads a dot in an input column as a path into a struct, and a backtick as a quote.
_STAND_INS = {".": "\N{ONE DOT LEADER}", "`": "\N{MODIFIER LETTER GRAVE ACCENT}"}


def made_name(prefix: str, name: str) -> str:
    """Return the name of a column that is made from another, free of characters that stages of Spark read otherwise."""
    for sign, stand_in in _STAND_INS.items():
        name = name.replace(sign, stand_in)
    return prefix + name


def source_name(prefix: str, made: str) -> str:
    """Return the name of the column that another was made from."""
    name = made.removeprefix(prefix)
    for sign, stand_in in _STAND_INS.items():
        name = name.replace(stand_in, sign)
    return name
