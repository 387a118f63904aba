/* The split of a straggler: the range of a leased shard is cut, and the rest goes to another worker. For spin: records 0 and 1, one shard of both
 * that can be cut; two workers; a leader that may be lost at any point, its memory with it, and whose successor knows the ledger and what workers say.
 * check.sh runs it.
 *
 * Time is left out: lease.pml shows that a lease is given away only when its worker has stopped, so here it just takes that for granted. Messages
 * wait in slots until they are read or replaced, so they may be delayed or lost at will.
 *
 * Checked: never may two workers send the same record, and when all shards are done, all records were sent. Each rule can be switched off:
 *   GRANT_BEFORE_SPLIT_DURABLE  the rest is leased before the ledger has the split
 *   CUT_UNASKED                 the leader cuts the range without waiting for the end that the worker really holds
 *   ANY_ATTEMPT                 a leader believes what a worker says about an attempt that is not the recorded one
 *   DONE_AT_ITS_END             a worker that comes back with a lower end has done the whole shard when it has done its part
 */
#define N 2
#define SHARDS 2
#ifndef ATTEMPTS
#define ATTEMPTS 2
#endif
#define NOBODY 2
#define NOTHING 9
#define ABSENT 0
#define PENDING 1
#define RESERVED 2  /* recorded, or about to be, and not given to anyone */
#define LEASED 3    /* or frozen */
#define DONE 4

typedef Shard { byte state, begin, end, attempt, holder }
Shard memory[SHARDS], ledger[SHARDS];
bool written[SHARDS];                                    /* this reservation */
bool sent[N];

byte shard[2] = NOTHING, attempt[2], cur[2], end[2];     /* workers: each holds one lease at most, and has sent what is below cur */
byte askedEnd[2] = NOTHING, askedShard[2];               /* a Shrink on its way */
byte offer[2] = NOTHING, offerAttempt[2], offerBegin[2], offerEnd[2];   /* a Lease on its way */
byte said[2] = NOTHING, saidAttempt[2], saidCur[2], saidEnd[2];         /* the last report */

#define COPY(to, from) to.state = from.state; to.begin = from.begin; to.end = from.end; to.attempt = from.attempt; to.holder = from.holder
/* Somebody may still act on this lease. */
#define INUSE(s) ((shard[0] == s && attempt[0] == memory[s].attempt) || (shard[1] == s && attempt[1] == memory[s].attempt) || \
                  (offer[0] == s && offerAttempt[0] == memory[s].attempt) || (offer[1] == s && offerAttempt[1] == memory[s].attempt))
#define CUT(s, at) free = 1; \
  do :: free < SHARDS && memory[free].state != ABSENT -> free++ :: else -> break od; \
  if :: free < SHARDS -> memory[free].state = PENDING; memory[free].begin = at; memory[free].end = memory[s].end; memory[free].attempt = 0; \
       memory[free].holder = NOBODY; memory[s].end = at \
     :: else fi
#ifdef ANY_ATTEMPT
#define SAIDBYHOLDER(w, s) memory[s].state == LEASED
#else
#define SAIDBYHOLDER(w, s) memory[s].state == LEASED && saidAttempt[w] == memory[s].attempt && (memory[s].holder == w || memory[s].holder == NOBODY)
#endif
#ifdef GRANT_BEFORE_SPLIT_DURABLE
#define GRANTABLE(s) memory[s].state == RESERVED
#else
#define GRANTABLE(s) memory[s].state == RESERVED && written[s]
#endif

proctype Leader()
{
  byte s, w, free, at;
  do
  :: atomic { s = 0; w = 0; at = 1; free = 0;
       do :: s < SHARDS - 1 -> s++ :: break od;
       do :: w < 1 -> w++ :: break od;
       do :: at < N - 1 -> at++ :: break od;
       if
       :: memory[s].state == PENDING && memory[s].attempt < ATTEMPTS ->                              /* reserve */
            memory[s].state = RESERVED; memory[s].attempt++; memory[s].holder = NOBODY; written[s] = false
       :: GRANTABLE(s) && offer[w] == NOTHING ->                                                     /* grant */
            memory[s].state = LEASED; memory[s].holder = w;
            offer[w] = s; offerAttempt[w] = memory[s].attempt; offerBegin[w] = memory[s].begin; offerEnd[w] = memory[s].end
       :: memory[s].state == LEASED && memory[s].holder == w && at < memory[s].end && askedEnd[w] == NOTHING ->   /* ask for a part, or for all of it */
#ifdef CUT_UNASKED
            if :: at > memory[s].begin -> CUT(s, at) :: else -> skip fi;
#endif
            askedShard[w] = s; askedEnd[w] = at
       :: said[w] == s && SAIDBYHOLDER(w, s) && saidEnd[w] <= memory[s].end ->                       /* a report */
            memory[s].holder = w;
            if
            :: saidEnd[w] == memory[s].begin -> memory[s].state = PENDING; memory[s].holder = NOBODY   /* given back whole */
            :: saidEnd[w] > memory[s].begin && saidEnd[w] < memory[s].end ->
#ifdef DONE_AT_ITS_END
                 if :: saidCur[w] == saidEnd[w] -> memory[s].state = DONE :: else CUT(s, saidEnd[w]) fi
#else
                 CUT(s, saidEnd[w])
#endif
            :: else
            fi;
            if :: memory[s].state == LEASED && saidCur[w] == memory[s].end -> memory[s].state = DONE :: else fi;
            said[w] = NOTHING; saidAttempt[w] = 0; saidCur[w] = 0; saidEnd[w] = 0
       :: memory[s].state == LEASED && !INUSE(s) -> memory[s].state = PENDING; memory[s].holder = NOBODY   /* expired */
       :: else
       fi;
       s = 0; w = 0; at = 0; free = 0 }
  :: atomic { s = 0;                                                                                 /* write the chunk; the confirmation comes at once or never */
       do :: s < SHARDS -> COPY(ledger[s], memory[s]); written[s] = (memory[s].state == RESERVED); s++ :: else -> break od;
       s = 0;
       if
       :: ledger[0].state == DONE && (ledger[1].state == DONE || ledger[1].state == ABSENT) -> assert(sent[0] && sent[1])
       :: else
       fi }
  :: atomic { s = 0;                                                                                 /* lost; another one reads the ledger */
       do
       :: s < SHARDS -> COPY(memory[s], ledger[s]); written[s] = false;
            if :: memory[s].state == RESERVED -> memory[s].state = LEASED :: else fi;                /* perhaps it was given to someone */
            s++
       :: else -> break
       od;
       s = 0 }
  od
}

#define MAYSEND(w) (shard[w] != NOTHING && cur[w] < end[w])

proctype Worker(byte me)
{
  do
  :: atomic { offer[me] != NOTHING && shard[me] == NOTHING ->
       shard[me] = offer[me]; attempt[me] = offerAttempt[me]; cur[me] = offerBegin[me]; end[me] = offerEnd[me];
       offer[me] = NOTHING; offerAttempt[me] = 0; offerBegin[me] = 0; offerEnd[me] = 0;
       assert(!(MAYSEND(0) && MAYSEND(1) && cur[0] < end[1] && cur[1] < end[0])) }
  :: atomic { offer[me] != NOTHING -> offer[me] = NOTHING; offerAttempt[me] = 0; offerBegin[me] = 0; offerEnd[me] = 0 }   /* came too late */
  :: atomic { MAYSEND(me) -> sent[cur[me]] = true; cur[me]++ }
  :: atomic { askedEnd[me] != NOTHING ->                              /* as soon behind the end asked for as nothing was sent */
       if
       :: askedShard[me] == shard[me] && askedEnd[me] < end[me] -> end[me] = (askedEnd[me] > cur[me] -> askedEnd[me] : cur[me])
       :: else
       fi;
       askedEnd[me] = NOTHING; askedShard[me] = 0 }
  :: atomic { shard[me] != NOTHING -> said[me] = shard[me]; saidAttempt[me] = attempt[me]; saidCur[me] = cur[me]; saidEnd[me] = end[me] }
  :: atomic { shard[me] != NOTHING -> shard[me] = NOTHING; attempt[me] = 0; cur[me] = 0; end[me] = 0 }                    /* its fence has passed, or it died */
  od
}

init { atomic { memory[0].state = PENDING; memory[0].end = N; memory[0].holder = NOBODY; COPY(ledger[0], memory[0]);
                run Leader(); run Worker(0); run Worker(1) } }
