"""A training set by Tiffin."""

from typing import Any

from contender import Job, main, read_spine, result, timed
from joins import Question, view_names
from tiffin_repo import make_store, open_store


def prepare(job: Job) -> None:
    make_store(job, Question.of(job))


def more_figures(
    figures: dict[str, float], report: dict[str, Any], n_views: int
) -> dict[str, float]:
    """Memory beyond what was there before; seconds of a view without the index that views share."""
    index = report["views"][0]["seconds"]["index"]
    output_mb = n_views * report["views"][0]["plan"]["memory"]["output"] / 1e6
    return {
        "beyond_mb": figures["peak_mb"] - figures["before_mb"],
        "seconds_a_view": (figures["seconds"] - index) / n_views,
        "without_output_mb": figures["peak_mb"] - output_mb,
    }


def measure(job: Job) -> dict[str, Any]:
    import duckdb  # noqa: F401 - the library that Tiffin reads with: loaded before the clock starts

    question = Question.of(job)
    spine = read_spine(job, question.spine)
    store = open_store(job, job.folder)
    references = [f"{view}:{name}" for view in view_names(question) for name in question.features]
    job_of: list[Any] = []

    def join() -> Any:
        full = question.n_views > 1
        made = store.get_historical_features(spine, references, full_feature_names=full)
        job_of.append(made)
        return made.to_arrow()

    table, figures = timed(join)
    report = job_of[0].explain().to_dict()
    figures |= more_figures(figures, report, question.n_views)
    return result(figures, question.check(table), {"explain": report})


if __name__ == "__main__":
    main(measure, prepare)
