"""What the contenders that apply many views share."""

from contender import Job

N_FEATURES = 20


def names(job: Job) -> list[str]:
    """Names of the views, in the order of the alphabet."""
    return [f"view_{i:04}" for i in range(job.params["n_views"])]
