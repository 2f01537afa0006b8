// What a scorer has learned, as bytes: a version, what they are for, the slots that have learned anything, a checksum.
#include <bit>
#include <cmath>
#include <limits>

#include "control-plane/feed/score_model.h"

namespace ribalta::feed {
namespace {

constexpr std::uint32_t kSnapshotMagic = 0x52424653;  // "RBFS"
constexpr std::uint16_t kSnapshotVersion = 2;
constexpr std::size_t kChecksumBytes = 8;

/// FNV-1a: finds what disks and copies damage; whoever may write the file can also write another scorer.
std::uint64_t checksum(ByteSpan bytes) {
  std::uint64_t hash = 0xcbf29ce484222325;
  for (const std::byte byte : bytes) hash = (hash ^ std::to_integer<std::uint64_t>(byte)) * 0x100000001b3;
  return hash;
}

Result<float> read_float(ByteReader& reader, float low, float high) {
  const Result<std::uint32_t> bits = reader.be32();
  if (!bits) return pass(bits);
  const auto value = std::bit_cast<float>(*bits);
  if (!std::isfinite(value) || value < low || value > high) return fail(Code::malformed, "a sum out of range", value);
  return value;
}

}  // namespace

Bytes Scorer::snapshot() const {
  ByteWriter writer;
  writer.be32(kSnapshotMagic);
  writer.be16(kSnapshotVersion);
  writer.u8(static_cast<std::uint8_t>(options_.slots_log2));
  writer.u8(static_cast<std::uint8_t>(sources_.size()));
  for (const std::string& name : sources_) {
    writer.u8(static_cast<std::uint8_t>(name.size()));
    writer.text(name);
  }
  writer.be64(learned_);
  const std::size_t count_at = writer.size();
  writer.be32(0);
  std::uint32_t count = 0;
  for (std::uint32_t i = 0; i < slots_.size(); ++i) {
    const Slot& slot = slots_[i];
    if (untouched(slot)) continue;
    writer.be32(i);
    for (std::size_t o = 0; o < kOutcomes; ++o) {
      writer.be32(std::bit_cast<std::uint32_t>(slot.z[o]));
      writer.be32(std::bit_cast<std::uint32_t>(slot.n[o]));
    }
    ++count;
  }
  writer.patch_be32(count_at, count);
  writer.be64(checksum(writer.view()));
  return writer.take();
}

Result<void> Scorer::restore_slots(ByteReader& reader, std::vector<Slot>& slots) const {
  const Result<std::uint32_t> count = reader.be32();
  if (!count) return pass(count);
  std::int64_t before = -1;
  for (std::uint32_t i = 0; i < *count; ++i) {
    const Result<std::uint32_t> at = reader.be32();
    if (!at) return pass(at);
    if (*at <= before || *at >= slots.size()) return fail(Code::malformed, "a slot out of order", *at);
    before = *at;
    for (std::size_t o = 0; o < kOutcomes; ++o) {
      const Result<float> z = read_float(reader, -kGradientsMax, kGradientsMax);
      if (!z) return pass(z);
      const Result<float> n = read_float(reader, 0, kSquaresMax);
      if (!n) return pass(n);
      slots[*at].z[o] = *z;
      slots[*at].n[o] = *n;
    }
    if (untouched(slots[*at])) return fail(Code::malformed, "a slot that learned nothing", *at);
  }
  return {};
}

Result<void> Scorer::restore(ByteSpan bytes) {
  if (bytes.size() < kChecksumBytes) return fail(Code::malformed, "scorer: bytes", bytes.size());
  const ByteSpan body = bytes.first(bytes.size() - kChecksumBytes);
  if (checksum(body) != read_be64(bytes.last(kChecksumBytes))) {
    return fail(Code::malformed, "scorer: the checksum is another");
  }
  ByteReader reader{body};
  const Result<std::uint32_t> magic = reader.be32();
  if (!magic || *magic != kSnapshotMagic) return fail(Code::malformed, "scorer: not what a scorer writes");
  const Result<std::uint16_t> version = reader.be16();
  if (!version) return version.error().in("scorer");
  if (*version != kSnapshotVersion) return fail(Code::unsupported, "scorer: version", *version);
  const Result<std::uint8_t> slots_log2 = reader.u8();
  if (!slots_log2) return slots_log2.error().in("scorer");
  if (*slots_log2 != options_.slots_log2) return fail(Code::conflict, "scorer: logarithm of slots", *slots_log2);
  const Result<std::uint8_t> sources = reader.u8();
  if (!sources) return sources.error().in("scorer");
  if (*sources != sources_.size()) return fail(Code::conflict, "scorer: sources", *sources);
  for (const std::string& expected : sources_) {
    const Result<std::uint8_t> size = reader.u8();
    if (!size) return size.error().in("scorer");
    const Result<ByteSpan> name = reader.take(*size);
    if (!name) return name.error().in("scorer");
    if (as_text(*name) != expected) return fail(Code::conflict, "scorer: another source where is", expected);
  }
  const Result<std::uint64_t> learned = reader.be64();
  if (!learned) return learned.error().in("scorer");
  std::vector<Slot> slots(slots_.size());
  if (const Result<void> read = restore_slots(reader, slots); !read) return read.error().in("scorer");
  if (!reader.done()) return fail(Code::malformed, "scorer: bytes after the end", reader.left());

  // All is well: nothing of the old is kept.
  slots_ = std::move(slots);
  learned_ = *learned;
  for (std::uint32_t slot = 0; slot < slots_.size(); ++slot) {
    for (std::size_t o = 0; o < kOutcomes; ++o) settle(slot, o);
  }
  return {};
}

}  // namespace ribalta::feed
