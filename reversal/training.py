"""Train a model and measure it: the recorded series' earlier parts, and the bars that real sources brought.

Training stores a challenger and never replaces what scores. `python -m reversal.training` makes one if the
newest model is older than REVERSAL_RETRAIN_DAYS; it is a process of its own, so that its memory comes back.
"""

import hashlib
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np

from core.bar import Bar
from database import model_versions
from database.model_versions import ModelState, NewModel
from database.pool import Database
from reversal import labels, walk_forward
from reversal.features import NAMES
from reversal.fitting import CHOSEN, FEWEST_ROWS, HOW, Fitted, Recipe, TooLittle, split
from reversal.model import LEVELS, Model, ModelRefused
from reversal.samples import EMBARGO, Family, Samples, key_of, samples_of
from reversal.sources import replay
from reversal.walk_forward import Judged, Step, silent
from settings import Settings

# Raised by whoever changes how features, labels or fitting work, so that the same data makes another version
RECIPE_NUMBER = 1
MOST_BARS = 100_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """Unbroken bars of one pair and timeframe: those to learn from, and later ones to be judged by, if any."""

    pair: str
    timeframe: str
    source: str
    learned: Sequence[Bar]
    held_out: Sequence[Bar] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """A new model and its row."""

    model: Model
    row: NewModel


def recordings() -> list[Series]:
    """Return the recorded series: the part that is never played to learn from, the played one to be judged by."""
    return [_recording(each) for each in replay.RECORDINGS]


def stored(database: Database, now: datetime) -> list[Series]:
    """Return the newest unbroken run of bars that real sources brought, of each pair and timeframe with enough."""
    from reversal import feeding

    with database.transaction() as transaction:
        runs = {
            (pair, timeframe): [
                bar
                for bar in feeding.usable(transaction, pair, timeframe, closed_by=now, count=MOST_BARS)
                if last is None or bar.opened_at > last
            ]
            for pair, timeframe, last in model_versions.stored_series(transaction, at_least=FEWEST_ROWS)
        }
    return [
        Series(pair=pair, timeframe=timeframe, source="stored", learned=bars)
        for (pair, timeframe), bars in runs.items()
        if len(bars) >= FEWEST_ROWS
    ]


def train(
    series: Sequence[Series],
    *,
    recipe: Recipe = CHOSEN,
    champion: Model | None = None,
    on_step: Step = silent,
) -> Made:
    """Return a model of all series and its record out of sample; raise TooLittle.

    The record of a series with bars held out is that of this very model, where nothing it learned from reaches
    into them; else that of the same recipe, walked forward. `champion` is judged on the same rows, as far as it
    has not learned from them.
    """
    each = [samples_of(one.pair, one.timeframe, [*one.learned, *one.held_out]) for one in series]
    ends = {sample.key: _end(one) for sample, one in zip(each, series, strict=True)}
    families = _fit(each, ends, recipe, on_step)
    judged = [
        _judge(sample, each, ends, families, recipe, on_step) for sample in each if sample.family in families
    ]
    record = {one.samples.key: walk_forward.report(one) for one in judged}
    version = _version(series, recipe, _until(families))
    trained = {family: fitted.trained() for family, fitted in families.items()}
    model = Model(version=version, families=trained, record=record)
    shown = {
        one.samples.key: record[one.samples.key] | {"equity": walk_forward.equity(one)} for one in judged
    }
    metrics = {"record": shown, "recipe": recipe.value, "against": _against(champion, judged)}
    return Made(model=model, row=_row(model, series, metrics, _until(families)))


def train_challenger(
    database: Database, series: Sequence[Series], now: datetime, *, on_step: Step = silent
) -> tuple[Made, bool]:
    """Train beside the champion and store the result as a challenger; tell whether its version was new."""
    made = train(series, champion=_champion(database), on_step=on_step)
    with database.transaction() as transaction:
        is_new = model_versions.store(transaction, made.row, ModelState.CHALLENGER, now)
    return made, is_new


def retrain_if_due(database: Database, settings: Settings, now: datetime) -> str | None:
    """Train a challenger if the newest model is older than the setting; return its version where it is new.

    Raises TooLittle. Whoever else does so at the same time makes the same version, which is stored once.
    """
    days = settings.reversal_retrain_days
    with database.transaction() as transaction:
        if not days or not model_versions.is_old(transaction, days, now):
            return None
    made, is_new = train_challenger(database, [*recordings(), *stored(database, now)], now)
    return made.model.version if is_new else None


def steps(series: Sequence[Series]) -> int:
    """Return how many steps training tells of at most."""
    return len(Family) + len(series) * walk_forward.FOLDS


def data_hash(series: Sequence[Series]) -> str:
    """Return the hash of every bar that is learned from."""
    found = hashlib.sha256()
    for one in series:
        found.update(f"{one.pair}|{one.timeframe}\n".encode())
        for bar in one.learned:
            found.update(
                f"{bar.opened_at.isoformat()} {bar.open} {bar.high} {bar.low} {bar.close} {bar.volume}\n".encode()
            )
    return found.hexdigest()


def _recording(recording: replay.Recording) -> Series:
    learned, whole = replay.learned_from(recording), replay.recorded(recording)
    return Series(
        pair=recording.pair, timeframe=recording.timeframe, source=f"{recording.package} (recording)",
        learned=learned, held_out=whole[len(learned) :],
    )  # fmt: skip


def _end(one: Series) -> float:
    """Return until when a series may be learned from, in seconds."""
    return one.held_out[0].closed_at.timestamp() if one.held_out else np.inf


def _fit(
    each: Sequence[Samples], ends: Mapping[str, float], recipe: Recipe, on_step: Step
) -> dict[Family, Fitted]:
    """Return what each family learned; a family with too little is left out, unless all are."""
    found, refused = {}, []
    for family in Family:
        splits = [
            part
            for one in each
            if one.family is family and len((part := split(one, ends[one.key], recipe)).fit)
        ]
        on_step(family)
        try:
            found[family] = Fitted(splits, recipe)
        except TooLittle as error:
            refused.append(f"{family}: {error}")
    if not found:
        raise TooLittle(" ".join(refused))
    return found


def _judge(
    of: Samples,
    each: Sequence[Samples],
    ends: Mapping[str, float],
    families: Mapping[Family, Fitted],
    recipe: Recipe,
    on_step: Step,
) -> Judged:
    fitted, end = families[of.family], ends[of.key]
    rows = np.flatnonzero(of.known & (of.decided >= end))
    if len(rows) and fitted.until <= of.decided[rows[0]]:
        on_step(of.key)
        return walk_forward.hold_out(fitted, of, rows, fitted.threshold)
    return walk_forward.walk(each, of, recipe=recipe, since=end if len(rows) else None, on_step=on_step)


def _against(champion: Model | None, judged: Sequence[Judged]) -> dict[str, Any] | None:
    """Return both models' figures on the rows that neither learned from, by series."""
    if champion is None:
        return None
    return {
        "version": champion.version,
        "series": {key: each for one in judged for key, each in _duel(champion, one)},
    }


def _duel(champion: Model, judged: Judged) -> Iterator[tuple[str, dict[str, Any]]]:
    trained = champion.families.get(judged.samples.family)
    if trained is None:
        return
    fresh = judged.samples.decided[judged.rows] >= trained.until.timestamp()
    if not fresh.any():
        return
    mine = Judged(
        samples=judged.samples, rows=judged.rows[fresh], turns=judged.turns[fresh], kind=judged.kind,
        confidence=judged.confidence[fresh], thresholds=judged.thresholds[fresh], folds=judged.folds,
    )  # fmt: skip
    theirs = walk_forward.hold_out(trained, judged.samples, mine.rows)
    yield (
        judged.samples.key,
        {
            "rows": len(mine.rows),
            "from": datetime.fromtimestamp(judged.samples.decided[mine.rows[0]], UTC).isoformat(),
            "challenger": walk_forward.model_figures(mine),
            "champion": walk_forward.model_figures(theirs),
        },
    )


def _champion(database: Database) -> Model | None:
    """Return the champion to compare with; None where there is none, or only one that this version refuses."""
    with database.transaction() as transaction:
        row = model_versions.champion(transaction)
    try:
        return Model.load(row["file"]) if row else None
    except ModelRefused:
        return None


def _until(families: Mapping[Family, Fitted]) -> datetime:
    return datetime.fromtimestamp(max(each.until for each in families.values()), UTC)


def _version(series: Sequence[Series], recipe: Recipe, until: datetime) -> str:
    how = [
        data_hash(series),
        recipe,
        RECIPE_NUMBER,
        NAMES,
        LEVELS,
        labels.LABEL_MAP,
        EMBARGO,
        asdict(HOW[recipe]),
    ]
    digest = hashlib.sha256(json.dumps(how).encode()).hexdigest()
    return f"{until:%Y-%m-%d}-{digest[:8]}"


def _row(model: Model, series: Sequence[Series], metrics: Mapping[str, Any], until: datetime) -> NewModel:
    content = model.content()
    return NewModel(
        version=model.version, trained_from=min(one.learned[0].opened_at for one in series), trained_until=until,
        data_hash=data_hash(series), series=[_described(one) for one in series], features=list(NAMES),
        labels={"map": labels.LABEL_MAP, **LEVELS}, metrics=metrics, file=content,
        file_hash=hashlib.sha256(content).hexdigest(),
    )  # fmt: skip


def _described(one: Series) -> dict[str, Any]:
    return {
        "key": key_of(one.pair, one.timeframe),
        "source": one.source,
        "from": one.learned[0].opened_at.isoformat(),
        "until": one.learned[-1].closed_at.isoformat(),
        "bars": len(one.learned),
        "held_out": len(one.held_out),
    }


def main() -> int:
    """Make a challenger if one is due and say so; return the exit code."""
    import settings

    loaded = settings.load()
    database = Database(loaded.database, size=2, application_name="reversal training")
    try:
        version = retrain_if_due(database, loaded, datetime.now(UTC))
    except TooLittle as error:
        print(error, file=sys.stderr)
        return 1
    finally:
        database.close()
    print(f"challenger {version}" if version else "nothing to train")
    return 0


if __name__ == "__main__":
    sys.exit(main())
