"""The mutants of tools/mutants: one change each of src/engine, src/arena, src/capacity or src/guard that makes it wrong,
and the unit test programs of which at least one must fail then.

`edits` are (text, what stands in its place); each text occurs exactly once in the file, or tools/mutants refuses to begin:
a mutant that no longer matches its source tests nothing.
"""
import dataclasses


@dataclasses.dataclass(frozen=True)
class Mutant:
    name: str
    file: str     # below src/
    reason: str   # what is wrong with it
    tests: tuple  # of tests/unit, as 'engine/test_engine'
    edits: tuple
    # Of a header: the only sources in which the change matters. They are built anew, and not all that include it.
    used_by: tuple = ()


ENGINE, THREADS, STRESS, HOLLOW, WAITS, LISTS = (
    f'engine/test_engine{name}' for name in ('', '_threads', '_stress', '_hollow', '_waits', '_lists'))
GUARD, SHADOW, ROOM = (f'guard/test_guard{name}' for name in ('', '_shadow', '_room'))
CAPACITY, SLEEPS, GROUP, ARENA = 'capacity/test_capacity', 'capacity/test_capacity_waits', 'capacity/test_group', 'arena/test_arena'


HAND_OUT = ('src/capacity/budget.cpp', 'tests/unit/capacity/test_queue.cpp')


def one(name, file, tests, reason, old, new=''):
    return Mutant(name, file, reason, tests, ((old, new),), HAND_OUT if file == 'capacity/wait_queue.hpp' else ())


def several(name, file, tests, reason, *edits):
    return Mutant(name, file, reason, tests, edits)


REMOTE = [
    one('post-stores', 'engine/remote.cpp', (THREADS, STRESS),
        'a post is no compare-and-swap: what another thread posts meanwhile is lost',
        '  while (\n      !queue.compare_exchange_weak(out.last->next, out.first, std::memory_order_release, '
        'std::memory_order_relaxed)) {\n  }\n', '  queue.store(out.first, std::memory_order_release);\n'),
    one('post-says-nothing', 'engine/remote.cpp', (WAITS,),
        'a post does not tell the budget: who waits for these blocks is not woken',
        '  g_budget.freed(out.bytes, out.owner, collecting ? nullptr : &account);\n'),
    one('post-keeps-bytes', 'engine/remote.cpp', (THREADS,), 'what was posted still counts as on its way',
        '  outgoing_bytes -= out.bytes;\n'),
    one('drain-in-two-steps', 'engine/remote.cpp', (THREADS, STRESS),
        'a drain reads the queue and clears it in two steps: what is posted in between is lost',
        'FreeBlock* next = remote_queue.exchange(nullptr, std::memory_order_acquire);',
        'FreeBlock* next = remote_queue.load(std::memory_order_acquire);\n'
        '  remote_queue.store(nullptr, std::memory_order_relaxed);'),
    several('drain-reads-late', 'engine/remote.cpp', (THREADS, STRESS),
            'a drain reads the next chain after this one was pushed, which writes there',
            ("    next = chain->next;  // read first: it is the chain's end, and the slab's as well\n", ''),
            ('    push_chain(slab, head, chain, chain->count);\n',
             '    push_chain(slab, head, chain, chain->count);\n    next = chain->next;\n')),
    one('dispatch-overflows', 'engine/remote.cpp', (THREADS,), 'one chain more than there is room for goes out',
        'out.chains == kOutgoingChains ||', 'out.chains > kOutgoingChains ||'),
    one('batch-takes-uncarved', 'engine/remote.cpp', (ENGINE, THREADS),
        'off by one: a block that was never handed out gets into a batch', 'exact_index_of(within) >= limit) return false;',
        'exact_index_of(within) > limit) return false;'),
]

# What the slow path asks of links of free blocks, and of pointers, to find faults of the program.
LINKS = [
    one('refill-trusts-chain', 'engine/small.cpp', (ENGINE,), 'a slab\'s chain is handed out whatever its first link is',
        '    check_first_link(*slab, g_classes.classes[c]);\n    STEALTH_CHECK_FULL', '    STEALTH_CHECK_FULL'),
    one('list-trusts-links', 'engine/lists.cpp', (ENGINE,), 'a list goes back to its slabs wherever its links lead',
        '      if (at.slab == nullptr) [[unlikely]]\n        report_bad_link(tail, next);\n',
        '      if (at.slab == nullptr) break;\n'),
    one('list-takes-twice', 'engine/lists.cpp', (ENGINE,), 'a block that is in a list twice goes back twice',
        ' || next == tail || next->next == tail', ''),
    one('slab-takes-its-head', 'engine/small.cpp', (ENGINE,), 'a block at the head of its slab\'s chain comes back again',
        'if (head == slab->free || count > out)', 'if (count > out)'),
    one('pages-trust-links', 'engine/hollow.cpp', (ENGINE,), 'a slab\'s chain is followed wherever it leads',
        '    if (!blocks.contain(block)) [[unlikely]]\n      report_bad_link(before, block);\n'),
    one('pages-trust-the-end', 'engine/hollow.cpp', (ENGINE,), 'a slab\'s chain may end too early',
        '  if (to_come != 0) report_bad_link(before, nullptr);\n'),
    one('handler-trusts-links', 'engine/slow.cpp', (ENGINE,), 'what handlers have freed is followed wherever it leads',
        'if (!g_arena.contains(g_arena.offset_of(block))) report_bad_link', 'if (false) report_bad_link'),
    one('batch-takes-its-first', 'engine/remote.cpp', (ENGINE,), 'the first block of a batch gets into it again',
        'if (batch.start == start && (batch.head == block || batch.tail == block)) return false;',
        'if (batch.start == start && batch.head == block) return false;'),
]

SLABS = [
    one('push-does-not-list', 'engine/small.cpp', (ENGINE,), 'a slab is not listed when its first block comes back',
        '    mine.partial.push_front(slab);\n'),
    one('countdown-one-too-high', 'engine/small.cpp', (ENGINE,), 'an empty slab is not seen',
        'slab->countdown = out - count;', 'slab->countdown = out - count + (slab->listed ? 0 : 1);'),
    one('countdown-without-hollow', 'engine/small.cpp', (HOLLOW,), 'hollow blocks count as out when a slab is listed',
        'std::uint32_t const out = slab->blocks_out();',
        'std::uint32_t const out = slab->listed ? slab->countdown : slab->carved;'),
    one('unlist-forgets-hollow', 'engine/small.cpp', (HOLLOW,),
        'a slab all of whose free blocks are hollow is found nowhere',
        '  if (slab->hollow_blocks != 0) mine.hollow.push_front(slab);\n'),
    one('push-stays-hollow', 'engine/small.cpp', (HOLLOW,), 'a slab stands in two lists',
        '    if (slab->hollow_blocks != 0) mine.hollow.remove(slab);\n'),
    one('take-not-out', 'engine/small.cpp', (LISTS,), 'a block of a shared class is not counted as out',
        '  ++slab->countdown;\n'),
    one('emptied-says-nothing', 'engine/small.cpp', (WAITS,), 'an empty slab wakes nobody who waits for pages',
        '  g_budget.own_freed(bytes, collecting ? nullptr : &account);\n', '  static_cast<void>(bytes);\n'),
    one('emptied-keeps-chained', 'engine/small.cpp', (ENGINE, HOLLOW),
        'the blocks of an emptied slab still count as free in chains',
        '  chained_bytes -= std::uint64_t{slab->carved - slab->hollow_blocks} * '
        'g_classes.classes[slab->size_class].block;\n'),
    one('give-back-keeps-owner', 'engine/small.cpp', (ENGINE, THREADS),
        'slots of a slab that went back still say that they are the heap\'s',
        '  g_arena.set_owner(slab, g_classes.classes[slab->size_class].slots, 0);\n'),
    one('collect-without-lock', 'engine/heaps.cpp', (THREADS, STRESS),
        'another thread\'s heap is collected without its lock',
        '    if (!lock_foreign(heap)) return;\n    heap.release_unused(ended);\n    heap.lock.unlock();\n',
        '    heap.release_unused(ended);\n'),
    one('hollow-loses-last', 'engine/hollow.cpp', (HOLLOW,),
        'off by one: the last block that reaches into a unit does not keep it',
        'return min(c.index_of((u + 1) * unit - 1) + 1, slab.carved);',
        'return min(c.index_of((u + 1) * unit - 1), slab.carved);'),
    one('hollow-loses-first', 'engine/hollow.cpp', (HOLLOW,),
        'off by one: a block that reaches into a unit from the one before does not keep it',
        'return c.index_of(u * unit);', 'return c.index_of(u * unit + c.block - 1);'),
    one('hollow-refused-stays', 'engine/hollow.cpp', (HOLLOW,), 'where the kernel refuses, units stay hollow',
        '    slab->hollow &= ~run;\n'),
    one('hollow-keeps-chained', 'engine/hollow.cpp', (HOLLOW,), 'hollow blocks still count as free in chains',
        '  chained_bytes -= std::uint64_t{given_back} * c.block;\n'),
    one('fill-miscounts', 'engine/hollow.cpp', (HOLLOW,), 'blocks that are hollow no more still count as such',
        '  slab->hollow_blocks -= count;\n'),
    one('fill-charges-less', 'engine/hollow.cpp', (HOLLOW,), 'of the units that are filled the last is not charged',
        'if (!g_arena.touch(slab, lowest * c.unit_pages, end * c.unit_pages, charge))',
        'if (!g_arena.touch(slab, lowest * c.unit_pages, (end - 1) * c.unit_pages, charge))'),
]

PAGES = [
    one('purge-not-released', 'arena/purge.cpp', (ARENA,), 'pages that went back stay charged',
        '  budget_.release(bytes);\n'),
    one('touch-charges-twice', 'arena/arena.cpp', (ARENA,), 'pages that are charged are charged again',
        'fresh += pages_in(bits_within(slot, from, to) & ~have);', 'fresh += pages_in(bits_within(slot, from, to) & ~(have & 0));'),
    one('touch-forgets', 'arena/arena.cpp', (ARENA,), 'of a slot, only the pages charged last are remembered',
        'static_cast<std::uint8_t>(have | bits_within(slot, from, to))',
        'static_cast<std::uint8_t>((have & 0) | bits_within(slot, from, to))'),
    one('free-not-dirty', 'arena/arena.cpp', (ARENA,), 'free dirty pages are not counted',
        '  free_dirty_pages_.fetch_add(dirty, std::memory_order_relaxed);\n'),
    one('merges-zones', 'arena/arena.cpp', (ARENA,), 'free runs of both zones become one',
        'if (last_before->state == RunState::free && last_before->zone == zone) {',
        'if (last_before->state == RunState::free) {'),
    one('rest-is-dirty', 'arena/arena.cpp', (ARENA,), 'what is left of a free run counts the pages that were taken',
        'free_run->dirty_pages - dirty_before - dirty_taken;', 'free_run->dirty_pages - dirty_before;'),
    one('allocate-without-lock', 'arena/arena.cpp', (ARENA, STRESS), 'runs are handed out without the lock',
        '  Hold hold(mutex_);\n  std::uint32_t first = 0;\n', '  std::uint32_t first = 0;\n'),
    one('purge-pages-too-many', 'arena/purge.cpp', (ARENA, HOLLOW),
        'of a slot that goes back in part, all pages count as gone',
        'static_cast<std::uint8_t>(have & ~gone)', 'std::uint8_t{0}'),
]

BUDGET = [
    one('take-adds', 'capacity/budget.cpp', (CAPACITY,),
        'a charge looks and adds in two steps: of two that fit one by one, both get it',
        '  } while (!held_.compare_exchange_weak(held, held + bytes, kRelaxed));\n',
        '  } while (false);\n  held = held_.fetch_add(bytes, kRelaxed);\n'),
    one('release-hands-nothing', 'capacity/budget.cpp', (SLEEPS, CAPACITY), 'a release looks for nobody who waits',
        '  if (!queue_.empty()) hand_out();\n'),
    one('newcomer-overtakes', 'capacity/budget_admission.cpp', (SLEEPS, CAPACITY),
        'who comes now passes those who stand in line',
        '  if (queue_.pages_wanted()) return refuse(charge, Refusal::full);  // newcomers do not overtake\n'),
    one('late-grant-kept', 'capacity/budget.cpp', (SLEEPS,),
        'what was granted to one that has not come back stays charged',
        '  if (handed.returned != 0) release(handed.returned);\n'),
    one('settle-keeps', 'capacity/budget.cpp', (SLEEPS, CAPACITY), 'what was granted and not used is never released',
        '  if (unused != 0) release(unused);\n', '  static_cast<void>(unused);\n'),
    one('grant-not-charged', 'capacity/wait_queue.hpp', (SLEEPS, CAPACITY), 'a grant is not charged',
        'if (!charge(waiter->wanted)) {', 'if (static_cast<void>(charge), false) {'),
    one('grant-wakes-nobody', 'capacity/wait_queue.hpp', (SLEEPS, CAPACITY), 'who is granted something is not woken',
        '        wake(*waiter, Why::grant);\n'),
    one('grant-still-wanting', 'capacity/wait_queue.hpp', (CAPACITY,),
        'who was granted something still counts as one who wants pages',
        '        wanting_.fetch_sub(1, std::memory_order_relaxed);\n'),
    one('late-grant-lost', 'capacity/wait_queue.hpp', (CAPACITY,),
        'what was granted to one that has not come back is lost',
        'handed.returned += take_out(*waiter);', 'static_cast<void>(take_out(*waiter));'),
    one('small-ones-pass-for-ever', 'capacity/wait_queue.hpp', (CAPACITY,),
        'small requests pass a large one without an end',
        '        if (held_up != nullptr) held_up->passed += waiter->wanted;\n'),
    one('leave-forgets-grant', 'capacity/wait_queue.cpp', (SLEEPS, CAPACITY), 'who leaves loses what was granted',
        '  count_.fetch_sub(1, std::memory_order_seq_cst);\n  return std::exchange(waiter.granted, 0);',
        '  count_.fetch_sub(1, std::memory_order_seq_cst);\n  waiter.granted = 0;\n  return 0;'),
    one('word-does-not-change', 'capacity/wait_queue.cpp', (SLEEPS, CAPACITY),
        'a wake-up does not change the word: one that comes before the sleep is lost',
        '  waiter.word.fetch_add(1, std::memory_order_seq_cst);\n'),
    one('stays-told', 'capacity/wait_queue.cpp', (SLEEPS, CAPACITY), 'who was told of blocks once is never told again',
        '  if (!waiter.queued) put_in(waiter);\n  waiter.told = false;\n', '  if (!waiter.queued) put_in(waiter);\n'),
    one('last-comes-first', 'capacity/wait_queue.cpp', (SLEEPS, CAPACITY), 'who comes back stands before all others',
        'before->since_ns > waiter.since_ns', 'before->since_ns != waiter.since_ns'),
    one('word-is-noted-late', 'capacity/wait.cpp', (SLEEPS,),
        'the word is noted right before the sleep: what came since the last look is slept over',
        '  os::futex_wait(word, seen_, nap);  //', '  look_at_waiter();\n  os::futex_wait(word, seen_, nap);  //'),
    one('leaves-silently', 'capacity/wait.cpp', (SLEEPS, CAPACITY),
        'who leaves the line does not let those behind it look',
        '  if (joined_ && budget_.has_waiters()) budget_.hand_out();  // it stood before others\n'),
]

GROUPS = [
    one('share-is-stored', 'capacity/group.cpp', (GROUP,), 'an older share is written over a newer one',
        'if (mine->compare_exchange_strong(before, word, std::memory_order_seq_cst)) return;',
        'return mine->store(word, std::memory_order_seq_cst);'),
    one('mark-is-not-cleared', 'capacity/group.cpp', (GROUP,), 'an announcement leaves the mark: all announce for ever',
        'word - kWaiting + 2,', 'word + 2,'),
    one('word-stays-the-same', 'capacity/group.cpp', (GROUP,),
        'the word is what it was once the next one waits: who was about to sleep sleeps over an announcement',
        'word - kWaiting + 2,', 'word - kWaiting,'),
    one('group-charges-blindly', 'capacity/budget.cpp', (GROUP, CAPACITY),
        'a member does not look again after it has charged: of two at once, both keep it',
        '    if (most_used != kNoLimit && group_.used() > most_used) {\n', '    if (false) {\n'),
    one('owner-goes-first', 'capacity/group_page.cpp', (GROUP,),
        'a cell has no owner while it is emptied: under a new one, at worst',
        '  std::uint64_t const word = shares[cell].exchange(0, std::memory_order_seq_cst);\n'
        '  owners[cell].store(0, std::memory_order_seq_cst);\n',
        '  owners[cell].store(0, std::memory_order_seq_cst);\n'
        '  std::uint64_t const word = shares[cell].exchange(0, std::memory_order_seq_cst);\n'),
    one('taken-over-blindly', 'capacity/group_page.cpp', (GROUP,), 'two take the same cell',
        '  return owners[cell].load(std::memory_order_relaxed) == expected &&\n'
        '         owners[cell].compare_exchange_strong(expected, by.word(), std::memory_order_seq_cst);',
        '  if (owners[cell].load(std::memory_order_relaxed) != expected) return false;\n'
        '  owners[cell].store(by.word(), std::memory_order_seq_cst);\n  return true;'),
]

GUARDED = [
    one('quarantine-of-none', 'guard/slabs.cpp', (ROOM,), 'a freed block is handed out at once',
        'kLeastQuarantine = 16, kMostQuarantine = 1024;', 'kLeastQuarantine = 0, kMostQuarantine = 0;'),
    one('quarantine-is-kept', 'guard/blocks.cpp', (ROOM,),
        'at the capacity a request is refused though blocks of its size lie in quarantine',
        'if (outcome == Outcome::done || mine.oldest == nullptr || charge.refusal == Refusal::idle_first) return outcome;',
        'if (outcome != Outcome::at_max) return outcome;'),
    one('newest-leaves-first', 'guard/blocks.cpp', (ROOM,), 'quarantine forgets all but its newest block',
        '(mine.newest == nullptr ? mine.oldest : mine.newest->next) = info;', 'mine.oldest = info;'),
    one('canaries-are-not-asked', 'guard/blocks.cpp', (GUARD,), 'bytes around a block are not looked at when it is freed',
        '    check_around(slab->infos(), found.index, block, info);\n'),
    one('zeroes-are-not-asked', 'guard/blocks.cpp', (GUARD,), 'a freed block is handed out again unseen',
        '  if (c != kNothing) check_free(block, *info);\n'),
    one('slab-leaves-unseen', 'guard/slabs.cpp', (GUARD,), 'a slab goes back without a look at its blocks',
        '      for (std::uint32_t i = 0; i < slab->carved; ++i) check_free(block_at(slab, i), slab->infos()[i]);\n'),
    one('freed-is-not-cleared', 'guard/blocks.cpp', (GUARD, SHADOW), 'a freed block keeps what was in it',
        '    clear(block, info.block);\n'),
    one('unwritten-looks-written', 'guard/contents.hpp', (GUARD, SHADOW), 'fresh memory has no pattern',
        'if (!zeroed) fill_words(', 'if (false) fill_words('),
    one('first-page-stays-open', 'guard/slabs.cpp', (ROOM,), 'an underflow of a slab\'s first block comes to the records',
        'slab->has_guards = close_pages(first - guard, guard);', 'slab->has_guards = false;'),
    one('slab-is-too-long', 'guard/slabs.cpp', (GUARD, ROOM), 'one block more is cut from a slab than there is room for',
        'if (slab->carved == shape.capacity)', 'if (slab->carved > shape.capacity)'),
    one('returned-stays', 'guard/blocks.cpp', (ROOM,), 'what other threads free is never used again',
        'if (lists.returned.load(std::memory_order_relaxed) != nullptr) take_returned(heap, lists);',
        'static_cast<void>(take_returned);'),
    one('never-carved-is-a-block', 'guard/blocks.cpp', (ROOM,), 'an address where no block has been yet is freed',
        'within >= std::size_t{carved} * shape.block)', 'within >= std::size_t{max(carved, shape.capacity)} * shape.block)'),
    one('door-is-not-asked', 'guard/guard.cpp', (GUARD,), 'new[] may leave by delete',
        '    report_wrong_door(p, farewell.door, record);\n', '    static_cast<void>(record);\n'),
    one('size-is-not-asked', 'guard/guard.cpp', (GUARD,), 'a wrong size is believed',
        'farewell.size != record.size) report_wrong_size(p, farewell.size, record);',
        'farewell.size != record.size) static_cast<void>(0);'),
    one('second-free-is-taken', 'guard/guard.cpp', (GUARD,), 'a double free goes through',
        '    report_double_free(p, record);\n'),
    one('largest-wraps', 'guard/guard.cpp', (GUARD,), 'sizes beyond 2^46 are cut to 32 bits of slots',
        'heap == nullptr || max(size, alignment) > kLargestSpan', 'heap == nullptr'),
    one('record-stays-moving', 'guard/spans.cpp', (GUARD, SHADOW), 'who looks at a span never lets go of it',
        '  check_around(span);\n  span->record.enter(State::live);\n', '  check_around(span);\n'),
    one('span-is-not-asked', 'guard/spans.cpp', (GUARD,), 'bytes around a large block are not looked at',
        '  check_around(span);\n  span->record.enter(State::live);\n', '  span->record.enter(State::live);\n'),
    one('span-ends-open', 'guard/spans.cpp', (GUARD,), 'the page behind a large block can be touched',
        '  span->ranges += static_cast<std::uint32_t>(close_pages(span->end(), '
        'static_cast<std::size_t>(end - span->end())));\n', '  static_cast<void>(end);\n'),
    one('freed-span-stays-open', 'guard/spans.cpp', (GUARD, ROOM), 'a freed large block can be touched',
        'bool const closed = close_pages(g_arena.memory_of(span), span->slots * kSlot);', 'bool const closed = false;'),
    one('freed-span-stays-charged', 'guard/spans.cpp', (ROOM,), 'a freed large block keeps its pages',
        'bool const purged = purge(own != nullptr ? *own : g_shared_heap, span);', 'bool const purged = false;'),
    one('spans-have-no-quarantine', 'guard/spans.cpp', (ROOM, GUARD), 'a freed large block is handed out at once',
        'kMostSpans = 256,', 'kMostSpans = 0,'),
]

TABLE = REMOTE + LINKS + SLABS + PAGES + BUDGET + GROUPS + GUARDED
