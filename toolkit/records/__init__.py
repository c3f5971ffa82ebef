"""Records: everything that is ever written to JSON. Frozen pydantic models; no runtime is imported."""

from toolkit.records.artifact import (
    ArtifactMetadata,
    ArtifactRecord,
    Ledger,
    Manifest,
    Signature,
    TensorSpec,
    VerificationRecord,
)
from toolkit.records.base import Device, Precision, Record, Sha256, SkipRecord, quantile
from toolkit.records.bench import (
    BenchRecord,
    ColdRecord,
    ComparisonRecord,
    CostRecord,
    EnergyRecord,
    Estimate,
    FailureRecord,
    FastestRecord,
    LatencyRecord,
    RatioRecord,
    RoundRecord,
    Scenario,
    Verdict,
)
from toolkit.records.dataset import (
    DataRecord,
    DatasetFileRecord,
    DatasetRecord,
    FetchRecord,
    GalleryRecord,
    ShownRecord,
)
from toolkit.records.evaluation import (
    MOST_WRONG,
    EvaluationRecord,
    ImageSource,
    PredictionRecord,
    PredictorRecord,
    ScoreRecord,
    UnreadableRecord,
    WrongImageRecord,
)
from toolkit.records.inspect import (
    DifferenceRecord,
    FileRecord,
    GraphRecord,
    InspectRecord,
    LayerRecord,
    NodeRecord,
    StatisticsRecord,
    TensorPairRecord,
    TensorRecord,
)
from toolkit.records.machine import (
    BandwidthRecord,
    Bound,
    ClockCheck,
    ControlRecord,
    Counters,
    EnergyDomain,
    EnergyReading,
    Finding,
    FitnessRecord,
    LimitsRecord,
    MemoryReading,
    PeakRecord,
    SelfCheckRecord,
    Unavailable,
)
from toolkit.records.model import (
    LABELS,
    PIXELS,
    CheckpointMetadata,
    CheckpointRecord,
    EpochRecord,
    ModelConfig,
    Preprocessing,
    TrainingSummary,
    TrainRecord,
)
from toolkit.records.parity import (
    CheckName,
    CheckRecord,
    DivergenceRecord,
    ParityRecord,
    QualityRecord,
    ReproductionRecord,
    badness,
    check_order,
)
from toolkit.records.report import AcceleratorRecord, DeviceRecord, DoctorRecord, FormatRecord, MachineRecord, Report
from toolkit.records.storage import parse_record, read_record, read_text, to_json
