/*
 * fork beside lockless pinning and stores: the paths that cowl has for linux-5.11, written a second time, as Promela. One
 * d_step is what the kernel does between two points where another CPU may get in. `cargo bench --bench search` searches both
 * and holds their numbers of states against each other.
 *
 * Both find the same states: Spin one more, that before `init` has started the processes. `spin -o2`, for otherwise what is only
 * ever written (the child's page table, PG_dirty) is no part of Spin's states.
 *
 * One process of PAGES pages, each written once and so mapped writable; who does what is at the end. Frames are numbered from
 * 1; 0 is none. Pins count apart from other references, and a page that is freed is as if it had never been used.
 */
#ifndef PAGES
#define PAGES 3
#endif
#define FRAMES (2 * PAGES + 5)

byte parent[PAGES];      /* the frame behind each of the parent's ptes */
bit writable[PAGES];     /* and its write bit */
byte child[PAGES];       /* the child's ptes */
bit child_vma[PAGES];    /* and whether its vma says anything of the page: from fork's first look at it on */
byte refs[FRAMES];
byte pins[FRAMES];
byte maps[FRAMES];
byte value[FRAMES];
bit dirty[FRAMES];       /* PG_dirty, which slow GUP sets */
byte held[4];            /* what named pins hold */

bit has_pinned;
byte seq;                /* write_protect_seq */
bit mmap_write;          /* mmap_lock */
byte mmap_readers;
bit ptl;                 /* the page-table lock */
bit child_is_there;

inline free_unused(f) {
    if
    :: refs[f] == 0 && pins[f] == 0 -> maps[f] = 0; value[f] = 0; dirty[f] = 0
    :: else -> skip
    fi
}

inline put(f) {
    refs[f]--;
    free_unused(f)
}

inline unpin(f) {
    pins[f]--;
    free_unused(f)
}

inline alloc(f) {
    f = 1;
    do
    :: refs[f] == 0 && pins[f] == 0 -> break
    :: else -> f++
    od;
    assert(f < FRAMES);
    refs[f] = 1
}

inline read_unlock() {
    if
    :: held_mmap -> mmap_readers--; held_mmap = 0
    :: else -> skip
    fi
}

inline read_lock() {
    if
    :: !held_mmap -> mmap_readers++; held_mmap = 1
    :: else -> skip
    fi
}

#define is_last(f) (refs[f] == 1 && pins[f] == 0 && maps[f] == 1)
#define may_lock (!ptl && (held_mmap || !mmap_write))

/* A write fault at page v, entered at `fault`; where it is over it goes on at `again`. */
#define WRITE_FAULT(v, ends) \
fault: \
    if \
    :: d_step { may_lock && (writable[v] || is_last(parent[v])) -> writable[v] = 1; ends } -> goto again \
    :: d_step { may_lock && !writable[v] && !is_last(parent[v]) -> read_lock(); old = parent[v]; refs[old]++ } \
    fi; \
    d_step { alloc(new); value[new] = value[old] }; \
    if \
    :: d_step { !ptl && (parent[v] != old || writable[v]) -> put(new); put(old); new = 0; old = 0; ends } -> goto again \
    :: d_step { !ptl && parent[v] == old && !writable[v] -> ptl = 1; parent[v] = 0 } \
    fi; \
    d_step { maps[new] = 1; parent[v] = new; writable[v] = 1; maps[old]--; ptl = 0; new = 0 }; \
    d_step { put(old); put(old); old = 0; ends }; \
    goto again

/* Stores `val` to pages `at` up to `to`, one after another. */
proctype writer(byte at; byte to; byte val) {
    byte old, new;
    bit held_mmap;
    bit begun; /* which a fault in vain does not take back */

again:
    if
    :: d_step { writable[at] && at + 1 < to -> begun = 1; value[parent[at]] = val; at++ } -> goto again
    :: d_step { writable[at] && at + 1 == to -> begun = 1; value[parent[at]] = val; at++ } -> goto end
    :: d_step { !writable[at] -> begun = 1 } -> goto fault
    fi;
    WRITE_FAULT(at, read_unlock());
end:
    false
}

/* Pins a page to be written, and then the page `next` where there is one; it holds them at `place` and the place after it. */
proctype pinner(byte page; byte next; byte place) {
    byte old, new, began, seen;
    bit held_mmap;

start:
    if
    :: d_step { has_pinned = 1 }
    fi;
    if
    :: d_step { seq % 2 == 1 -> skip } -> goto again
    :: d_step { seq % 2 == 0 -> began = seq }
    fi;
    if
    :: d_step { !writable[page] || parent[page] == 0 -> began = 0 } -> goto again
    :: d_step { writable[page] && parent[page] != 0 -> seen = parent[page] }
    fi;
    if
    :: d_step { refs[seen] == 0 && pins[seen] == 0 -> began = 0 } -> goto again
    :: d_step { refs[seen] != 0 || pins[seen] != 0 -> pins[seen]++ }
    fi;
    if
    :: d_step { parent[page] != seen || !writable[page] -> unpin(seen); began = 0 } -> goto again
    :: d_step { parent[page] == seen && writable[page] -> skip }
    fi;
    d_step { held[place] = seen };
    if
    :: d_step { seq != began -> unpin(held[place]); held[place] = 0; began = 0 } -> goto again
    :: d_step { seq == began && next != PAGES -> began = 0; seen = 0; place++; page = next; next = PAGES } -> goto start
    :: d_step { seq == began && next == PAGES -> began = 0; seen = 0; place++; page = next } -> goto end
    fi;
again:
    if
    :: d_step { may_lock && writable[page] && next != PAGES ->
            pins[parent[page]]++; dirty[parent[page]] = 1; held[place] = parent[page]; read_unlock();
            seen = 0; place++; page = next; next = PAGES
        } -> goto start
    :: d_step { may_lock && writable[page] && next == PAGES ->
            pins[parent[page]]++; dirty[parent[page]] = 1; held[place] = parent[page]; read_unlock();
            seen = 0; place++; page = next
        } -> goto end
    :: d_step { may_lock && !writable[page] -> read_lock() } -> goto fault
    fi;
    WRITE_FAULT(page, skip);
end:
    false
}

#define must_copy(v) (has_pinned && pins[parent[v]] != 0)

proctype forker() {
    byte at, new;

    d_step { !mmap_write && mmap_readers == 0 -> mmap_write = 1; seq++ };
next:
    if
    :: d_step { at < PAGES && !ptl && !must_copy(at) -> child_vma[at] = 1; ptl = 1 }
    :: d_step { at < PAGES && !ptl && must_copy(at) -> child_vma[at] = 1 } -> goto copy
    :: d_step { at == PAGES -> seq++; mmap_write = 0; child_is_there = 1; at = 0 } -> goto end
    fi;
    d_step { refs[parent[at]]++; maps[parent[at]]++ };
    d_step { writable[at] = 0 };
    d_step { child[at] = parent[at]; ptl = 0; at++ };
    goto next;
copy:
    if
    :: d_step { alloc(new) }
    fi;
    if
    :: d_step { !ptl && must_copy(at) -> value[new] = value[parent[at]]; maps[new] = 1; child[at] = new; new = 0; at++ }
    :: d_step { !ptl && !must_copy(at) -> put(new); new = 0 }
    fi;
    goto next;
end:
    false
}

init {
    byte v;
    atomic {
        do
        :: v < PAGES ->
            parent[v] = v + 1; writable[v] = 1; refs[v + 1] = 1; maps[v + 1] = 1; value[v + 1] = 1; v++
        :: else -> break
        od;
        v = 0;
        run forker();
        THREADS
    }
}
