"""Result objects: frozen dataclasses that go to JSON and back, without Spark."""

from purchasecast.results.amounts import AmountEvaluation
from purchasecast.results.campaign import MeasuredLift, Measurement, SegmentLift
from purchasecast.results.distribution import Histogram, Mode, NumberProfile, TargetProfile, Transformation
from purchasecast.results.drift import Check, ColumnDrift, DriftReport, LevelShift
from purchasecast.results.evaluation import (
    PREDICTION_TENTH,
    Evaluation,
    LargestErrors,
    Reference,
    Slice,
    largest_errors,
)
from purchasecast.results.explanation import Explanation
from purchasecast.results.findings import Absent, Campaign, Chart, ChartKind, Finding, Insights, Support
from purchasecast.results.lists import CalibrationBin, ListEvaluation, ListQuality
from purchasecast.results.plan import BudgetPoint, ControlGroup, Plan, ProductUse
from purchasecast.results.profile import (
    Concentration,
    FeatureProfile,
    LevelProfile,
    PairCell,
    PairProfile,
    Profile,
    ProfileWarning,
    furthest_apart,
)
from purchasecast.results.record import Record
from purchasecast.results.search import Candidate, SearchResult
from purchasecast.results.validation import ValidationReport, check_reject_rate

__all__ = [
    "PREDICTION_TENTH",
    "Absent",
    "AmountEvaluation",
    "BudgetPoint",
    "CalibrationBin",
    "Campaign",
    "Candidate",
    "Chart",
    "ChartKind",
    "Check",
    "ColumnDrift",
    "Concentration",
    "ControlGroup",
    "DriftReport",
    "Evaluation",
    "Explanation",
    "FeatureProfile",
    "Finding",
    "Histogram",
    "Insights",
    "LargestErrors",
    "LevelProfile",
    "LevelShift",
    "ListEvaluation",
    "ListQuality",
    "MeasuredLift",
    "Measurement",
    "Mode",
    "NumberProfile",
    "PairCell",
    "PairProfile",
    "Plan",
    "ProductUse",
    "Profile",
    "ProfileWarning",
    "Record",
    "Reference",
    "SearchResult",
    "SegmentLift",
    "Slice",
    "Support",
    "TargetProfile",
    "Transformation",
    "ValidationReport",
    "check_reject_rate",
    "furthest_apart",
    "largest_errors",
]
