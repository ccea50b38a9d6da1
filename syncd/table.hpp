#pragma once
// All flows that we know, ours and the peer's, in one table: an entry belongs to a group, and whose it is follows from
// the group's role, so that a takeover moves no entry.
//
// Memory decides the shape: 80 bytes an entry with its record inside, in chunks that never move, so that nothing is
// ever copied while traffic waits. The index is extendible hashing (Fagin and others 1979): one that is full is split
// in two, which takes microseconds, instead of a rehash of everything. It holds the hashes beside the numbers of the
// entries, because at a million flows each entry that is looked at is a cache miss and a TLB miss: a third of a
// microsecond. Flows are chosen by strangers, so the hash is seeded.
#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "common/bytes.hpp"
#include "syncd/record.hpp"

namespace syncd {

using Slot = std::uint32_t;
inline constexpr Slot kNoSlot = 0xffffffffu;

/// Eight times the largest nf_conntrack_max in the field (2 million), and a bound on memory: 1.6 GB with IPv4. Tables
/// follow the kernel's (room.hpp) within it.
inline constexpr std::size_t kMaxFlows = 16u << 20;

/// Bits of Entry::flags.
namespace entry {
inline constexpr std::uint16_t gone = 1u << 0;       ///< the flow has ended; what is left is told or remembered
inline constexpr std::uint16_t in_flight = 1u << 1;  ///< sent, not acknowledged
inline constexpr std::uint16_t queued = 1u << 2;     ///< in the list of kernel writes
inline constexpr std::uint16_t in_kernel = 1u << 3;
inline constexpr std::uint16_t leased = 1u << 4;     ///< the kernel's timeout is our lease, longer than the flow's own
inline constexpr std::uint16_t liberal = 1u << 5;    ///< be_liberal was written to the kernel
inline constexpr std::uint16_t behind = 1u << 6;     ///< the kernel's entry is older than the record
inline constexpr std::uint16_t rebind = 1u << 7;     ///< the kernel's entry translates differently: replace it
inline constexpr std::uint16_t retime = 1u << 8;     ///< only the timeout is to be written
inline constexpr std::uint16_t retried = 1u << 9;    ///< the kernel refused once; the next refusal is final
inline constexpr std::uint16_t refused = 1u << 10;   ///< given up until the record changes
inline constexpr std::uint16_t found = 1u << 11;     ///< seen in our kernel while backup, from nobody we know
inline constexpr std::uint16_t sentinel = 1u << 12;  ///< no flow: a place in the list of flows to send
inline constexpr std::uint16_t unshared = 1u << 13;  ///< made here, and the peer has never said that it has it
inline constexpr std::uint16_t adopted = 1u << 14;   ///< of the peer's remainder, not yet seen in our kernel
inline constexpr std::uint16_t withheld = 1u << 15;  ///< ours, and the peer is not to have it (selection.hpp)
}  // namespace entry

/// Which list an entry's `send` links belong to.
enum class Queue : std::uint8_t { none, endings, changes, graves, young };

struct Links {
  Slot previous = kNoSlot, next = kNoSlot;
};

inline constexpr std::size_t kInlineRecord = 36;

struct Entry {
  /// Ours: sequence of the last datagram that carried it. The peer's: of the newest that was applied. Counts only
  /// while `generation` is the group's.
  std::uint64_t version = 0;
  std::uint32_t hash = 0;
  union {
    std::uint32_t digest = 0;  ///< of what its record adds to its bucket (digest.hpp)
    std::uint32_t born;        ///< of an entry that is withheld, which adds nothing: milliseconds
    Slot next_free;            ///< of an entry that is free
  };
  Links send, kernel;
  std::uint32_t lease_until = 0;  ///< seconds of the engine's time at which the kernel's entry runs out, or is to
  std::uint16_t generation = 0;
  std::uint16_t flags = 0;
  std::uint8_t group = 0;
  std::uint8_t seen = 0;    ///< number of the last dump in which the kernel had it
  std::uint8_t length = 0;  ///< of the record; 0: free
  Queue queue = Queue::none;
  std::array<std::byte, kInlineRecord> bytes{};  ///< the record, or the number of its long block

  bool is(std::uint16_t bits) const { return (flags & bits) != 0; }
  void set(std::uint16_t bits) { flags = static_cast<std::uint16_t>(flags | bits); }
  void clear(std::uint16_t bits) { flags = static_cast<std::uint16_t>(flags & ~bits); }
  bool used() const { return length != 0; }
};
static_assert(sizeof(Entry) == 88 || sizeof(Entry) == 80);

/// Doubly linked through the entries.
struct SlotList {
  Slot head = kNoSlot, tail = kNoSlot;
  std::uint32_t size = 0;
  bool empty() const { return head == kNoSlot; }
};

class Table {
 public:
  explicit Table(std::uint64_t seed) : seed_(seed) {}

  Entry& operator[](Slot slot) { return chunks_[slot / kChunk][slot % kChunk]; }
  const Entry& operator[](Slot slot) const { return chunks_[slot / kChunk][slot % kChunk]; }

  std::uint32_t hash(common::ByteView key) const;
  Slot find(common::ByteView key, std::uint32_t hash) const;
  Slot find(common::ByteView key) const { return find(key, hash(key)); }
  /// Fetches into the cache what find() will look at; worth it where several are to be found.
  void prefetch(std::uint32_t hash) const {
    if (!directory_.empty()) __builtin_prefetch(&page_of(hash).cells[hash % kCells]);
  }
  /// The key must not be there. kNoSlot: the table is full.
  Slot insert(common::ByteView record, std::uint32_t hash);
  /// Must be in no list. The slot is used again at once.
  void erase(Slot slot);
  /// An entry that is no flow and is not indexed.
  Slot insert_sentinel();

  common::ByteView record(Slot slot) const;
  /// Same key, other contents.
  void set_record(Slot slot, common::ByteView record);

  template <Links Entry::* member>
  void push_back(SlotList& list, Slot slot) {
    ((*this)[slot].*member) = {list.tail, kNoSlot};
    (list.empty() ? list.head : ((*this)[list.tail].*member).next) = slot;
    list.tail = slot;
    ++list.size;
  }
  template <Links Entry::* member>
  void push_front(SlotList& list, Slot slot) {
    ((*this)[slot].*member) = {kNoSlot, list.head};
    (list.empty() ? list.tail : ((*this)[list.head].*member).previous) = slot;
    list.head = slot;
    ++list.size;
  }
  template <Links Entry::* member>
  void unlink(SlotList& list, Slot slot) {
    const Links links = (*this)[slot].*member;
    (links.previous == kNoSlot ? list.head : ((*this)[links.previous].*member).next) = links.next;
    (links.next == kNoSlot ? list.tail : ((*this)[links.next].*member).previous) = links.previous;
    ((*this)[slot].*member) = {};
    --list.size;
  }

  std::size_t size() const { return size_; }
  /// So many flows are taken in, at most kMaxFlows. Those that are here stay.
  void set_limit(std::size_t limit) { limit_ = std::min(limit, kMaxFlows); }
  std::size_t limit() const { return limit_; }
  /// One past the highest slot ever used: the end for a walk over everything.
  Slot end() const { return end_; }
  std::size_t memory() const;

 private:
  static constexpr std::size_t kChunk = 4096;  // entries: 320 KB at a time
  static constexpr std::size_t kCells = 4096;  // of a page of the index: 32 KB
  /// Beyond this a page is split: a search in it looks at 8 cells on average, which are one or two cache lines.
  static constexpr std::size_t kFullPage = kCells * 3 / 4;
  /// Twice what kMaxFlows needs: only hashes that are no hashes can reach it.
  static constexpr unsigned kMaxDepth = 14;
  struct Cell {
    std::uint32_t hash = 0;
    Slot slot = kNoSlot;
  };
  /// The first bits of the hash choose the page, the last ones the cell to begin at.
  struct Page {
    std::array<Cell, kCells> cells{};
    std::size_t used = 0;
    unsigned depth = 0;  ///< so many first bits are the same for all in here
  };
  /// Blocks of one size for records that do not fit into their entries.
  class Blocks {
   public:
    explicit Blocks(std::size_t size) : size_(size) {}
    std::uint32_t take();
    void give_back(std::uint32_t block) { free_.push_back(block); }
    std::byte* at(std::uint32_t block) const;
    std::size_t memory() const;

   private:
    std::size_t size_;
    std::vector<std::unique_ptr<std::byte[]>> chunks_;
    std::vector<std::uint32_t> free_;
    std::uint32_t end_ = 0;
  };

  std::size_t place(std::uint32_t hash) const { return depth_ == 0 ? 0 : hash >> (32 - depth_); }
  Page& page_of(std::uint32_t hash) { return *pages_[directory_[place(hash)]]; }
  const Page& page_of(std::uint32_t hash) const { return *pages_[directory_[place(hash)]]; }
  bool make_room(std::uint32_t hash);
  void split(std::size_t at);
  static void put(Page& page, Cell cell);
  static void take_out(Page& page, std::uint32_t hash, Slot slot);
  Slot take_slot();
  static std::uint32_t block_of(const Entry& e);
  /// Where records of this length stand; null: inside the entry.
  Blocks* blocks_for(std::size_t length);
  const Blocks* blocks_for(std::size_t length) const { return const_cast<Table*>(this)->blocks_for(length); }

  std::uint64_t seed_;
  std::vector<std::unique_ptr<Entry[]>> chunks_;
  Slot end_ = 0, free_ = kNoSlot;
  std::size_t size_ = 0, limit_ = kMaxFlows;
  std::vector<std::unique_ptr<Page>> pages_;
  std::vector<std::uint16_t> directory_;  ///< page of each value of the first `depth_` bits
  unsigned depth_ = 0;
  Blocks long_{kMaxOrdinaryRecord};  ///< IPv6, mostly
  Blocks longest_{kMaxRecord};       ///< with extras
};

}  // namespace syncd
