/* Who may send records of a shard: leaders, workers, the ledger, and time. For spin: one shard, two leaders, two workers, unbounded time (each
 * deadline is kept as the time that is left, and the clock lets all of them run down together). check.sh runs it.
 *
 * Any process may stop at any point and go on later. A report stays readable until the next one replaces it, an answer waits in a slot until it
 * is read or replaced: both may so be delayed or lost at will. One worker process may die and be replaced by another one.
 *
 * As operator/lease does it: a shard is first recorded in flight without a holder (reserved), then given to whoever asks; the holder is recorded
 * some time later, or never. A new leader freezes what is recorded in flight, and takes up again whoever names the recorded attempt.
 *
 * Checked: never may a worker send records of the shard while another one may, or while requests of another one are still on the wire. Each rule
 * can be switched off, and then the assertion fails:
 *   FROM_RECEIPT        a worker counts its lease from the receipt of an answer, not from the sending of the report that it answers
 *   NO_LEADER_CHECK     a leader answers without checking that its own leadership, counted from before the renewal, is still valid
 *   NO_BARRIER          a new leader gives away at once what its predecessor had leased
 *   RESERVED_IS_FREE    a new leader takes what is recorded without a holder for never given
 *   TAKE_UP_IN_FREEZE   a new leader answers a worker that comes back, and lets its freeze run on instead of a new TTL
 *   GRANT_FIRST         a leader sends a grant before the ledger has it
 *   BLIND_WRITE         the ledger takes a write without comparing its version
 *   DEAD_AT_ONCE        what a dead worker held is given away without waiting for its requests
 *   and a fence that, with the time on the wire, is longer than the TTL
 */
#ifndef LEAD
#define LEAD 2      /* leadership lasts this long from a renewal */
#endif
#ifndef TTL
#define TTL 2       /* the operator gives the shard away this long after the last report that it accepted */
#endif
#ifndef FENCE
#define FENCE 1     /* a worker stops this long after it sent the report that was last answered */
#endif
#ifndef WIRE
#define WIRE 1      /* a request ends at most this long after it was sent */
#endif
#ifndef DEATHS
#define DEATHS 1    /* how many of the workers may die */
#endif
#define NONE 2
#define INSTANCE(w) ((w) + 3 * died[w])  /* 0, 1: the first processes of the workers; 3, 4: the second */
/* Attempts: 1, 2, 1, ...; 0 is none. They never repeat in truth, so a report that is left from the last time the number was used is forgotten. */
#define NEXT(a) ((a) % 2 + 1)
#define UNNUMBER(w) if :: reported[w] && reportAttempt[w] == attempt -> reported[w] = false; reportLeft[w] = 0; reportAttempt[w] = 0 :: else fi
#define FREE 0
#define RESERVED 1                       /* recorded by this leader, and not given to anyone */
#define LEASED 2                         /* or frozen */

byte leadLeft, leadOwner = NONE;                                  /* the Lease object */
byte stamp = NONE, owner = NONE, attempt; bool inFlight;          /* the ledger; stamp: its last writer, stands for the resourceVersion */

bool leading[2]; byte untilLeft[2], expireLeft[2], sState[2], sOwner[2], sAttempt[2];   /* leaders: leadership left, and the shard as they see it */

bool died[2];
byte held[2], left[2], wire[2];                                   /* workers: attempt held (0 none), time until the fence, requests on the wire */
bool reported[2]; byte reportLeft[2], reportAttempt[2];           /* last report of each worker: the fence that its answer would give now */
bool pending[2]; byte ansLeft[2], ansAttempt[2];                  /* an answer on its way: the fence that it gives */

#define RUN(x) if :: x > 0 -> x-- :: else fi
/* Up to its fence a worker sends all the time. */
#define RUNSENDER(w) if :: left[w] > 0 -> left[w]-- :: left[w] == 0 && wire[w] > 0 -> wire[w]-- :: else fi

proctype Clock()
{
  do :: atomic {
    RUN(leadLeft); RUN(untilLeft[0]); RUN(untilLeft[1]); RUN(expireLeft[0]); RUN(expireLeft[1]); RUNSENDER(0); RUNSENDER(1);
#ifndef FROM_RECEIPT
    RUN(reportLeft[0]); RUN(reportLeft[1]); RUN(ansLeft[0]); RUN(ansLeft[1])
#endif
  } od
}

#ifdef NO_LEADER_CHECK
#define LEADS true
#else
#define LEADS untilLeft[me] > 0
#endif
#ifdef BLIND_WRITE
#define WRITABLE true
#else
#define WRITABLE stamp == me
#endif
/* Waits until it is read or replaced; the leader may be deposed meanwhile. */
#define ANSWER(w, a) pending[w] = true; ansLeft[w] = reportLeft[w]; ansAttempt[w] = a
#ifdef TAKE_UP_IN_FREEZE
bool frozen[2];
#define EXTEND(w) if :: frozen[me] -> skip :: else -> expireLeft[me] = TTL fi; sOwner[me] = INSTANCE(w); ANSWER(w, sAttempt[me])
#else
#define EXTEND(w) sOwner[me] = INSTANCE(w); expireLeft[me] = TTL; ANSWER(w, sAttempt[me])
#endif
#ifdef GRANT_FIRST
#define GIVABLE sState[me] == FREE
#define GIVE(w) ANSWER(w, NEXT(sAttempt[me]))
#else
#define GIVABLE sState[me] == RESERVED
#ifdef TAKE_UP_IN_FREEZE
#define THAW frozen[me] = false
#else
#define THAW skip
#endif
#define GIVE(w) THAW; sState[me] = LEASED; sOwner[me] = INSTANCE(w); expireLeft[me] = TTL; ANSWER(w, sAttempt[me])
#endif
#define DEPOSED leading[me] = false; untilLeft[me] = 0; expireLeft[me] = 0; sState[me] = FREE; sOwner[me] = NONE; sAttempt[me] = 0

proctype Leader(byte me)
{
  do
  :: atomic { !leading[me] && leadLeft == 0 ->                       /* acquire: compare and swap on the Lease, then stamp the ledger and read it */
       leadLeft = LEAD; leadOwner = me; untilLeft[me] = LEAD; leading[me] = true; stamp = me; sOwner[me] = owner; sAttempt[me] = attempt;
       if
       :: inFlight -> sState[me] = LEASED; expireLeft[me] = TTL
       :: else -> sState[me] = FREE
       fi;
#ifdef TAKE_UP_IN_FREEZE
       frozen[me] = inFlight;
#endif
#ifdef NO_BARRIER
       sState[me] = FREE; sOwner[me] = NONE; expireLeft[me] = 0
#endif
#ifdef RESERVED_IS_FREE
       if :: owner == NONE -> sState[me] = FREE; expireLeft[me] = 0 :: else fi
#endif
     }
  :: atomic { leading[me] && leadOwner == me && leadLeft > 0 && leadLeft < LEAD -> leadLeft = LEAD; untilLeft[me] = LEAD }   /* renew */
  :: atomic { leading[me] && untilLeft[me] == 0 -> DEPOSED }
  :: atomic { leading[me] && sState[me] == LEASED && expireLeft[me] == 0 -> sState[me] = FREE; sOwner[me] = NONE }
  :: atomic { leading[me] && sState[me] == LEASED && sOwner[me] < NONE && died[sOwner[me]] ->      /* that process has ended for certain */
#ifdef DEAD_AT_ONCE
       expireLeft[me] = 0
#else
       if :: expireLeft[me] > WIRE -> expireLeft[me] = WIRE :: else -> skip fi
#endif
     }
  :: atomic { leading[me] && sState[me] == FREE ->                   /* reserve: a write of the next attempt; it needs no leadership, only the version */
       if
       :: WRITABLE -> attempt = NEXT(sAttempt[me]); owner = NONE; inFlight = true; stamp = me;
            sAttempt[me] = attempt; sOwner[me] = NONE; sState[me] = RESERVED;
            UNNUMBER(0); UNNUMBER(1)
       :: !(WRITABLE) -> DEPOSED
       fi }
  :: atomic { leading[me] && sState[me] == FREE && inFlight && WRITABLE -> inFlight = false; owner = NONE; attempt = sAttempt[me]; stamp = me }
  :: atomic { leading[me] && sState[me] == LEASED && sOwner[me] != NONE && owner != sOwner[me] && WRITABLE -> owner = sOwner[me]; stamp = me }
#define FROM(w, a) (reported[w] && reportAttempt[w] == (a))
#define HOLDER(w) (sOwner[me] == INSTANCE(w) || sOwner[me] == NONE)
  /* A report of the holder, or of whom a predecessor had given it: its lease is longer now. */
  :: atomic { leading[me] && sState[me] == LEASED && sAttempt[me] != 0 && LEADS &&
              ((FROM(0, sAttempt[me]) && HOLDER(0)) || (FROM(1, sAttempt[me]) && HOLDER(1))) ->
       if
       :: FROM(0, sAttempt[me]) && HOLDER(0) -> EXTEND(0)
       :: FROM(1, sAttempt[me]) && HOLDER(1) -> EXTEND(1)
       fi }
  /* A worker without a shard asks for one: it gets this one. */
  :: atomic { leading[me] && GIVABLE && LEADS && (FROM(0, 0) || FROM(1, 0)) ->
       if
       :: FROM(0, 0) -> GIVE(0)
       :: FROM(1, 0) -> GIVE(1)
       fi }
  od
}

#define MAYSEND(w) (held[w] != 0 && left[w] > 0)

proctype Worker(byte me)
{
  do
  :: atomic { (held[me] == 0 || left[me] > 0) && !(reported[me] && reportLeft[me] == FENCE && reportAttempt[me] == held[me]) ->
       reported[me] = true; reportLeft[me] = FENCE; reportAttempt[me] = held[me] }
  :: atomic { held[me] != 0 && left[me] == 0 -> held[me] = 0 }
  :: atomic { pending[me] ->                                        /* read an answer: a grant, or the acknowledgement of a report */
       pending[me] = false;
       if
       :: held[me] == 0 || held[me] == ansAttempt[me] ->
          if
          :: ansLeft[me] > 0 ->
             held[me] = ansAttempt[me]; wire[me] = WIRE;
             if :: ansLeft[me] > left[me] -> left[me] = ansLeft[me] :: else fi
          :: else
          fi;
          assert(!(MAYSEND(me) && (MAYSEND(1 - me) || wire[1 - me] > 0)))
       :: else
       fi;
       ansLeft[me] = 0; ansAttempt[me] = 0 }
  :: atomic { me < DEATHS && !died[me] ->                               /* dies; what it sent last is still under way */
       died[me] = true; held[me] = 0; left[me] = 0; reported[me] = false; reportLeft[me] = 0; reportAttempt[me] = 0;
       pending[me] = false; ansLeft[me] = 0; ansAttempt[me] = 0 }
  od
}

init { atomic { sOwner[0] = NONE; sOwner[1] = NONE; run Clock(); run Leader(0); run Leader(1); run Worker(0); run Worker(1) } }
