#include "cli/help_topics.h"

#include <array>
#include <cstddef>

#include "cli/spec_fields.h"

namespace backfill::cli {
namespace {

constexpr std::size_t kColumns = 80;

constexpr std::string_view kConcepts =
    R"(A backfill applies one change to every existing record of a dataset, usually by
sending each record through a live service. It is declared in a file, planned,
tried without effect, run at a declared rate, and accounted for.

  record   one unit of work: a key, of a file also its fields
  source   where records come from
  target   the service that each record is sent to
  plan     the frozen list of shards, and its hash: what was reviewed will run
  shard    a contiguous part of the records; what a worker leases
  ledger   the durable state of every shard; a run goes on from it after a crash
  outcome  what became of a record: updated, unchanged, skipped or failed
  runner   the process "backfill run", which starts the workers; on a cluster,
           where "kubectl apply" declares a backfill, the operator
  report   who did what, and what came of it

  Pending -> Planning -> DryRunning -> AwaitingApproval -> Running -> Completed
                                                                   -> Failed

A file is a dry run until it says otherwise. One backfill is one change: after
its end nothing can be changed; to run what failed again, make a new one
(backfill retry).

What may change while it runs, with "backfill apply": rate, workers, failure
policy, pause, and who is concerned. Source, target and sharding may not.
)";

constexpr std::string_view kSpec =
    R"(apiVersion: backfill.dev/v1alpha1
kind: Backfill
metadata: {name: reprice}
spec:
  description: Recompute order totals with the new rounding rule
  source:
    range: {start: 1, end: 1001}        # the end is not included
  target:
    http:
      url: http://orders/v1/orders/{{key}}/reprice
      outcomes: {skipped: [404]}
  throttle: {maxRecordsPerSecond: 500}  # a real run must say it
  dryRun: true                          # the default; for real: false, and
  performDisruptiveBackfill: ""         # the backfill's own name

"backfill lint -f FILE" names every problem of a file with its place. These are
the fields of spec:

)";

constexpr std::string_view kAllExitCodes =
    R"(run, watch and status --wait:
  0    ended as declared: completed, or the dry run is done
  1    nothing was started: bad file, bad environment, run by another process
  2    the backfill failed
  3    stopped before its end, state kept: paused, failure budget, an error that
       lasts, Ctrl-C; of watch and status --wait also: nothing is running it
  130  ended at once by a second Ctrl-C

plan --against:
  0    the same
  1    it cannot be told
  2    something differs

pause --wait and resume --wait:
  0    it is so
  1    refused
  3    it is not so yet, or the runner has ended; of resume also without --wait:
       the file itself pauses it

All others: 0 done, 1 refused.
)";

constexpr std::string_view kThrottling =
    R"(spec.throttle.maxRecordsPerSecond is how many records all workers together send
in a second, those that are sent again included. A worker sends only under a
grant, a piece of that rate that expires; what could still be in force never
adds up to more than declared, also after workers or the runner have died.

A target that answers with Retry-After is left alone for so long by all workers.
For ten first attempts at most one more record is sent again.

spec.throttle.budgets are bounds on metrics of the target: the rate goes up
while all are kept and down when one is not. spec.schedule says when it may
send. "backfill status NAME" says why it is not faster.

To slow down at once: "backfill pause NAME". To change the rate: edit the file
and "backfill apply -f FILE"; it holds within a second.
)";

constexpr std::string_view kIdempotency =
    R"(A record may be sent twice: after a lost answer, a lost worker, a lost runner.
None is lost. How many may have been sent twice at most is shown by status and
report.

The change should therefore be idempotent: done twice it has the effect of once.
Where it is not, the service should honour the header Idempotency-Key, which
stays the same whenever the same request is sent again:

  <uid of the backfill>/<key>                                 for a record
  <uid>/<first key>..<last key>/<count>-<digest of the keys>  for a batch

A batch that failed is sent again as a whole or in halves, so where batches are
used the records in it should be idempotent, too.

"backfill retry" makes a backfill with a uid of its own, so a service does not
take its records for what it has refused before.
)";

constexpr std::string_view kFiles =
    R"(A source that is a file

  source:
    file: {path: orders.csv.gz, format: Csv, key: id}     # delimiter: ";"
  target:
    http:
      url: http://orders/v1/orders/{{key}}
      body: '{"price": {{fields.price|json}}, "all": {{record}}}'

  Lines   a key a line
  Csv     RFC 4180 with a header; its names are those of the fields
  NdJson  a JSON object a line; its members are the fields

The path is local, or an http(s) URL. gzip and zstd are noticed. The file must
stay as it was planned until the run has ended: a changed one stops the run with
SourceChanged, before a record of the changed part is sent.

A bad row (too long, not UTF-8, without its key, a column too few, ...) is a
record that fails without being sent. "backfill plan" counts them and shows the
first, "backfill failures" lists each with its line. A key that stands twice is
sent twice, under the same Idempotency-Key.

The state directory

.backfill in the current folder, or --state-dir. "backfill run" makes it. It
holds any number of backfills and belongs to one user. Put it on a local disk.

  backfill.db, -wal, -shm      everything that is known; keep them together
  <namespace>.<name>.*         locks, the workers' log, what workers note
  run-*                        the socket of a runner

Removing it forgets everything, also that a backfill has run.
)";

constexpr std::string_view kTls =
    R"(A url that begins with https:// means TLS, 1.2 or newer. The certificate must be
of the url's host and from an authority that is trusted.

  target:
    http:
      url: https://orders/v1/orders/{{key}}/reprice
      tls:
        caFile: /etc/orders/ca.pem       # only these; without it the system's
        certFile: /etc/orders/me.pem     # the workers' own certificate,
        keyFile: /etc/orders/me.key      #   and its key
        serverName: orders.internal      # if not the host of the url
      secretHeaders:
      - {name: Authorization, prefix: "Bearer ", file: /run/secrets/orders}

Secrets do not stand in a spec: secretHeaders say where each worker reads the
value itself, from a file or a variable (env). "encode: Base64" makes basic
authentication of user:password. No value is in a status, report, sample,
message or log.

Files are read again once they have changed, so a rotation needs no restart. If
the new content cannot be used, the old one serves on and the workers' log says
so. A certificate that is not trusted is a target that cannot be reached:
sending waits, and "backfill status NAME" says why.
)";

constexpr std::array<HelpTopic, 7> kTopics = {{
    {"concepts", "What a backfill is, and the words for it"},
    {"spec", "A file, and every field that it may have"},
    {"exit-codes", "What exit codes mean"},
    {"throttling", "How the rate is kept"},
    {"idempotency", "What may be sent twice"},
    {"files", "Records from a file; the state directory"},
    {"tls", "Encryption, certificates, secrets"},
}};

}  // namespace

std::span<const HelpTopic> HelpTopics() { return kTopics; }

std::optional<std::string> HelpText(std::string_view topic) {
  if (topic == "concepts") return std::string(kConcepts);
  if (topic == "spec") return std::string(kSpec) + DescribeSpecFields(kColumns);
  if (topic == "exit-codes") return std::string(kAllExitCodes);
  if (topic == "throttling") return std::string(kThrottling);
  if (topic == "idempotency") return std::string(kIdempotency);
  if (topic == "files") return std::string(kFiles);
  if (topic == "tls") return std::string(kTls);
  return std::nullopt;
}

}  // namespace backfill::cli
