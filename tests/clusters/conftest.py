"""Real clusters, started once for all tests of a module."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.clusters.slurm_cluster import SlurmCluster, is_installed, slurm_cluster
from tests.waiting import PYTHONPATH


@pytest.fixture(scope="module")
def slurm() -> Iterator[SlurmCluster]:
    """Two nodes, found by SLURM_CONF in this process and in those that it starts."""
    if not is_installed():
        pytest.skip("no Slurm here: apt-get install slurm-wlm")
    folder = Path(tempfile.mkdtemp(prefix="slurm-"))
    with pytest.MonkeyPatch.context() as patch, slurm_cluster(folder) as cluster:
        patch.setenv("SLURM_CONF", str(cluster.configuration))
        patch.setenv("PYTHONPATH", PYTHONPATH)
        patch.setattr("cratelm.shards.slurm.LAST_POLL", 1.0)
        yield cluster
    shutil.rmtree(folder)
