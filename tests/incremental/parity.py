"""The recorded values by a short name; `avcil-incr reproduce parity` checks them too."""

from avcil.incremental.reproduce.recorded import (
    CHANNELS as CHANNELS,
)
from avcil.incremental.reproduce.recorded import (
    CLASSES as CLASSES,
)
from avcil.incremental.reproduce.recorded import (
    LABELS as LABELS,
)
from avcil.incremental.reproduce.recorded import (
    NEW_CLIPS as NEW_CLIPS,
)
from avcil.incremental.reproduce.recorded import (
    OLD_CLASSES as OLD_CLASSES,
)
from avcil.incremental.reproduce.recorded import (
    OLD_TASKS as OLD_TASKS,
)
from avcil.incremental.reproduce.recorded import (
    PROXIES as PROXIES,
)
from avcil.incremental.reproduce.recorded import (
    SLICES as SLICES,
)
from avcil.incremental.reproduce.recorded import (
    TOKENS as TOKENS,
)
from avcil.incremental.reproduce.recorded import (
    VALUES as VALUES,
)
from avcil.incremental.reproduce.recorded import (
    afc_student_weights as afc_student_weights,
)
from avcil.incremental.reproduce.recorded import (
    afc_teacher_weights as afc_teacher_weights,
)
from avcil.incremental.reproduce.recorded import (
    expected as expected,
)
from avcil.incremental.reproduce.recorded import (
    features as features,
)
from avcil.incremental.reproduce.recorded import (
    herding_features as herding_features,
)
from avcil.incremental.reproduce.recorded import (
    student_weights as student_weights,
)
from avcil.incremental.reproduce.recorded import (
    teacher_weights as teacher_weights,
)
