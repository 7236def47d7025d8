"""The cache room: frozen features of clips in verified shards, the only door between the two stages."""

from .contents import Contents, Damaged, scan
from .description import EXPORTED, mending, origin_of, recorded
from .export import export
from .fingerprint import Fingerprint
from .mend import Lost
from .outline import ShardOutline
from .quarantine import read_quarantine
from .reader import FeatureCache, Features
from .shard_writer import Sealed, ShardWriter
from .storage import STORAGE_TYPES, NotStorable, bytes_per_clip, dtype_stored
from .verify import Problem, VerifyReport, verify
from .writer import CacheWriter

__all__ = [
    "EXPORTED",
    "STORAGE_TYPES",
    "CacheWriter",
    "Contents",
    "Damaged",
    "FeatureCache",
    "Features",
    "Fingerprint",
    "Lost",
    "NotStorable",
    "Problem",
    "Sealed",
    "ShardOutline",
    "ShardWriter",
    "VerifyReport",
    "bytes_per_clip",
    "dtype_stored",
    "export",
    "mending",
    "origin_of",
    "read_quarantine",
    "recorded",
    "scan",
    "verify",
]
