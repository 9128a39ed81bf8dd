"""The audit in SQL: every rule of the books as one query that finds the rows that break it."""

from collections.abc import Iterator
from typing import NamedTuple

from dreamgrid.server.store.audit import Audit, Finding
from dreamgrid.server.store.connection import Connection

MOST_PER_CHECK = 100
"""Rows that one check tells; a systematic fault breaks thousands, and more of them say no more."""

_ENTRIES = (
    "no entry can be changed by dreamgrid, so something else wrote to the database: restore a "
    "backup from before, or correct the row by hand with the server stopped"
)
_SETTLE = (
    "stop the server and look at these rows; if the job was not delivered the money belongs back "
    "to the payer: 'dreamgrid admin grant' gives it, with this finding as the reason"
)
_DERIVED = (
    "the entries are the truth: stop the server, set the row to what they add up to, audit again"
)

_SETTLED = """
    WITH settled (project_id, micros) AS (
        SELECT project_id, sum(amount_micros) FROM transfer
         WHERE kind IN ('post', 'void') GROUP BY project_id
    )
"""


class _Check(NamedTuple):
    """A rule: `sql` finds what breaks it.

    The first column says which rows; the others fill the places in `message`.
    """

    name: str
    sql: str
    message: str
    advice: str


_CHECKS = (
    _Check(
        "sum",
        "SELECT 'balances in ' || currency, sum(posted_micros) FROM balance"
        " GROUP BY currency HAVING sum(posted_micros) <> 0",
        "all balances together, the mint's too, are {} micro-units instead of 0",
        _DERIVED,
    ),
    _Check(
        "balance",
        """
        WITH part (account_id, currency, posted, held, told_posted, told_held) AS (
            SELECT payer, currency, -amount_micros, 0, 0, 0 FROM transfer
             WHERE kind NOT IN ('hold', 'void')
            UNION ALL
            SELECT payee, currency, amount_micros, 0, 0, 0 FROM transfer
             WHERE kind NOT IN ('hold', 'void')
            UNION ALL
            SELECT payer, currency, 0,
                   CASE WHEN kind = 'hold' THEN amount_micros ELSE -amount_micros END, 0, 0
              FROM transfer WHERE kind IN ('hold', 'post', 'void')
            UNION ALL
            SELECT account_id, currency, 0, 0, posted_micros, held_micros FROM balance
        )
        SELECT 'balance ' || account_id || ' ' || currency, sum(told_posted), sum(told_held),
               sum(posted), sum(held)
          FROM part GROUP BY account_id, currency
        HAVING sum(posted) <> sum(told_posted) OR sum(held) <> sum(told_held)
        """,
        "says posted {}, held {}; the entries add up to posted {}, held {}",
        _DERIVED,
    ),
    _Check(
        "overdrawn",
        "SELECT 'balance ' || account_id || ' ' || currency, posted_micros, held_micros"
        " FROM balance WHERE held_micros < 0"
        " OR (posted_micros < held_micros AND account_id NOT IN ('mint', 'house'))",
        "posted {}, held {}: more is held than there is",
        _ENTRIES,
    ),
    _Check(
        "charged twice",
        "SELECT 'job ' || job_id || ', transfers ' || group_concat(id), count(*) FROM transfer"
        " WHERE kind = 'post' GROUP BY job_id HAVING count(*) > 1",
        "was charged {} times",
        _ENTRIES,
    ),
    _Check(
        "charged and given back",
        "SELECT 'job ' || job_id || ', transfers ' || group_concat(id) FROM transfer"
        " WHERE kind IN ('post', 'void') GROUP BY job_id"
        " HAVING count(*) > 1 AND sum(CASE WHEN kind = 'void' THEN 1 ELSE 0 END) > 0",
        "was settled more than once: posted and voided, or voided twice",
        _ENTRIES,
    ),
    _Check(
        "orphaned hold",
        _SETTLED
        + """
        SELECT 'project ' || hold.project_id || ', transfer ' || hold.id, hold.amount_micros,
               coalesce(settled.micros, 0)
          FROM transfer AS hold LEFT JOIN settled USING (project_id)
          LEFT JOIN project ON project.id = hold.project_id
         WHERE hold.kind = 'hold' AND (project.id IS NULL OR project.ended_ms IS NOT NULL)
           AND coalesce(settled.micros, -1) <> hold.amount_micros
        """,
        "has ended, but of {} held only {} were posted or voided",
        _SETTLE,
    ),
    _Check(
        "open hold",
        _SETTLED
        + """
        SELECT * FROM (
            SELECT 'project ' || project.id, hold_micros, coalesce(hold.amount_micros, 0) AS held,
                   coalesce(settled.micros, 0) AS done,
                   (SELECT coalesce(sum(price_micros), 0) FROM job
                     WHERE project = number AND ended_ms IS NULL) AS waiting
              FROM project
              LEFT JOIN transfer AS hold ON hold.project_id = project.id AND hold.kind = 'hold'
              LEFT JOIN settled ON settled.project_id = project.id
             WHERE ended_ms IS NULL
        ) AS open WHERE held <> hold_micros OR held <> done + waiting
        """,
        "is to hold {}; held {}, settled {}, and its open jobs cost {}",
        _SETTLE,
    ),
    _Check(
        "settled without a hold",
        "SELECT 'job ' || job_id || ', transfer ' || id, kind, amount_micros FROM transfer AS t"
        " WHERE kind IN ('post', 'void') AND NOT EXISTS (SELECT 1 FROM transfer"
        " WHERE kind = 'hold' AND project_id = t.project_id AND payer = t.payer"
        " AND currency = t.currency)",
        "{} of {}, but its payer never held anything for this project in this currency",
        _ENTRIES,
    ),
    _Check(
        "earning",
        """
        SELECT 'job ' || pay.job_id || ', transfer ' || pay.id, pay.amount_micros, pay.payer,
               coalesce(max(post.amount_micros), 0)
          FROM transfer AS pay
          LEFT JOIN transfer AS post ON post.job_id = pay.job_id AND post.kind = 'post'
                AND post.currency = pay.currency AND post.project_id = pay.project_id
         WHERE pay.kind = 'earning' GROUP BY pay.id
        HAVING pay.payer <> 'house' OR max(post.amount_micros) IS NULL
            OR pay.amount_micros > max(post.amount_micros)
            OR (SELECT count(*) FROM transfer
                 WHERE kind = 'earning' AND job_id = pay.job_id) > 1
        """,
        "{} was earned, paid by {}, but the job was charged {}, or it was earned more than once",
        _ENTRIES,
    ),
    _Check(
        "refund",
        """
        SELECT 'transfer ' || back.id || ', transfer ' || back.reverses, back.amount_micros,
               coalesce(post.kind || ' of ' || post.amount_micros || ' by ' || post.payer,
                        'nothing'), back.payee
          FROM transfer AS back LEFT JOIN transfer AS post ON post.id = back.reverses
         WHERE back.kind = 'refund' AND (post.id IS NULL OR post.kind <> 'post'
            OR post.amount_micros <> back.amount_micros OR post.payer <> back.payee
            OR post.currency <> back.currency OR post.job_id <> back.job_id
            OR (SELECT count(*) FROM transfer
                 WHERE kind = 'refund' AND reverses = back.reverses) > 1)
        """,
        "a refund of {} takes back {} for {}, or takes it back more than once",
        _ENTRIES,
    ),
    _Check(
        "spending",
        """
        SELECT * FROM (
            SELECT 'key ' || key_id || ' ' || token_type, spending.day, spending.micros AS told,
                   sum(hold_micros - coalesce((SELECT sum(price_micros) FROM job
                        WHERE project = number AND ended_ms IS NOT NULL
                          AND charged_micros = 0), 0)) AS spent
              FROM project JOIN spending USING (key_id)
             WHERE spending.currency = token_type AND spending.day = created_ms / 86400000
             GROUP BY key_id, token_type, spending.day, spending.micros
        ) AS spending_by_day WHERE told < spent
        """,
        "on day {} it spent {} by its counter, but its projects cost or hold {}",
        _DERIVED,
    ),
    _Check(
        "job and money",
        """
        SELECT 'job ' || job.id, job.state, job.price_micros,
               coalesce(t.kind || ' of ' || t.amount_micros, 'nothing')
          FROM job LEFT JOIN transfer AS t ON t.job_id = job.id AND t.kind IN ('post', 'void')
         WHERE job.price_micros > 0 AND NOT CASE
               WHEN job.ended_ms IS NULL THEN t.id IS NULL
               WHEN t.id IS NULL OR t.amount_micros <> job.price_micros THEN 1 = 0
               WHEN t.kind = 'post'
                    THEN job.state = 'completed' AND job.charged_micros = job.price_micros
               ELSE (job.state <> 'completed' OR job.withheld = 1) AND job.charged_micros = 0 END
        """,
        "is {} and costs {}, but the ledger says: {}",
        _SETTLE,
    ),
    _Check(
        "charge",
        "SELECT 'project ' || project.id, charged_micros, coalesce(sum(amount_micros), 0)"
        " FROM project LEFT JOIN transfer ON project_id = project.id AND kind = 'post'"
        " GROUP BY number HAVING coalesce(sum(amount_micros), 0) <> charged_micros",
        "says that {} were charged; its posts add up to {}",
        _DERIVED,
    ),
    _Check(
        "end",
        "SELECT 'project ' || project.id, project.state, count(*) - count(job.ended_ms), count(*)"
        " FROM project JOIN job ON project = number GROUP BY number"
        " HAVING (project.ended_ms IS NULL) <> (count(job.ended_ms) < count(*))",
        "is {}, and {} of its {} jobs are open",
        "stop the server and start it again: it takes up open projects; if the finding stays, "
        "cancel the project",
    ),
)


def audited(connection: Connection) -> Audit:
    """Audits what a connection sees; its transaction makes that one moment."""
    counted = {
        table: connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
        for table in ("account", "transfer", "project", "job")
    }
    findings = tuple(found for check in _CHECKS for found in _found(connection, check))
    return Audit(counted=counted, findings=findings)


def _found(connection: Connection, check: _Check) -> Iterator[Finding]:
    for rows, *values in connection.execute(check.sql).fetchmany(MOST_PER_CHECK):
        yield Finding(
            check=check.name,
            rows=tuple(str(rows).split(", ")),
            message=check.message.format(*values),
            advice=check.advice,
        )
