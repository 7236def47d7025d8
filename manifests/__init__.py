"""What there is to learn: clips, labels, splits, class order, tasks, video files. Knows no tensor."""

from .benchmark import Benchmark, published, published_figures, published_names
from .builders import Built, build_ave, build_kinetics, build_vggsound
from .choosing import Choice
from .clips import SPLITS, Clip, Manifest, Split, by_class, counted, gaps, is_plain_name
from .description import Modality
from .dividing import Shares
from .folders import FolderList, list_folder
from .locating import NAMED_BY_ID, FileNames, Located, NamingHabit, locate_videos, videos_below
from .reading import read_class_order, read_manifest, write_manifest
from .sources import clips_seen_in_training, source_in_name, source_of
from .tasks import Tasks, given_class_order, read_tasks, shuffled_class_order, split_into_tasks

__all__ = [
    "NAMED_BY_ID",
    "SPLITS",
    "Benchmark",
    "Built",
    "Choice",
    "Clip",
    "FileNames",
    "FolderList",
    "Located",
    "Manifest",
    "Modality",
    "NamingHabit",
    "Shares",
    "Split",
    "Tasks",
    "build_ave",
    "build_kinetics",
    "build_vggsound",
    "by_class",
    "clips_seen_in_training",
    "counted",
    "gaps",
    "given_class_order",
    "is_plain_name",
    "list_folder",
    "locate_videos",
    "published",
    "published_figures",
    "published_names",
    "read_class_order",
    "read_manifest",
    "read_tasks",
    "shuffled_class_order",
    "source_in_name",
    "source_of",
    "split_into_tasks",
    "videos_below",
    "write_manifest",
]
