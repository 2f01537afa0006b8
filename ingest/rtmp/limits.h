// Every bound of the RTMP door in one place, with its reason and what happens at it: the connection is closed with a
// sentence in the log, and where the publisher can still be told, with an onStatus error.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>

namespace ribalta::rtmp {

/// From accept to the end of the handshake, absolute: dripping bytes does not extend it. A real client needs two round
/// trips.
inline constexpr std::chrono::milliseconds kHandshakeDeadline{5'000};
/// From accept to `publish`, absolute. OBS needs five round trips; the slowest mobile network still makes them in 3 s.
inline constexpr std::chrono::milliseconds kPublishDeadline{10'000};

/// No message is longer than its 24-bit length, so larger sizes mean the same (RTMP 1.0 §5.4.1).
inline constexpr std::uint32_t kChunkBytesMax = 0xFFFFFF;
/// What both sides use until they say otherwise (RTMP 1.0 §5.4.1).
inline constexpr std::uint32_t kChunkBytesDefault = 128;
/// Chunk streams with a remembered header. Real clients use at most 6.
inline constexpr std::size_t kChunkStreamsMax = 64;

/// One audio or video message: a key frame of 100 Mbit/s video at one key frame a second fits.
inline constexpr std::uint32_t kMediaMessageBytesMax = 8 * 1024 * 1024;
/// Commands and metadata: OBS sends 422 bytes, FFmpeg with a long tag list a few KB.
inline constexpr std::uint32_t kCommandMessageBytesMax = 64 * 1024;
/// Protocol control: the longest (user control, SetBufferLength) is 10 bytes.
inline constexpr std::uint32_t kControlMessageBytesMax = 16;
/// Bytes of unfinished messages on all chunk streams together: one largest message, and an audio message beside it.
inline constexpr std::size_t kReassemblyBytesMax = kMediaMessageBytesMax + 256 * 1024;
/// Everything a client may send before its key is accepted. OBS sends under 2 KB after the handshake.
inline constexpr std::uint64_t kUnauthorisedBytesMax = 64 * 1024;

/// Nesting of AMF0 values: metadata of real encoders nests 3 deep.
inline constexpr std::size_t kAmfDepthMax = 32;
/// Values in one message, nested ones counted: FFmpeg's longest onMetaData has about 60.
inline constexpr std::size_t kAmfElementsMax = 1024;

/// App and stream names: control planes make keys of 20 to 60 characters; OBS's own field takes more, nobody uses it.
inline constexpr std::size_t kNameBytesMax = 256;
/// Message streams that one connection may create: real clients create one, and another for each republish.
inline constexpr std::uint32_t kMessageStreamsMax = 8;
/// Tags in one aggregate message: 1 s of 60 fps video with audio.
inline constexpr std::size_t kAggregateTagsMax = 128;

/// The highest bitrate that metadata may claim, in bits a second: what kMediaMessageBytesMax is made for.
inline constexpr std::int64_t kAnnouncedMax = 100'000'000;

/// How far a publisher's clock may run, in milliseconds: 8 900 years. Only deltas of weeks in every message get there,
/// and beyond lies the end of 64 bits.
inline constexpr std::int64_t kTimeMsMax = std::int64_t{1} << 48;

/// How many bytes the publisher may send between our acknowledgements; what Adobe's server says.
inline constexpr std::uint32_t kWindowBytes = 2'500'000;
/// Chunk size of what we send: every answer is one chunk.
inline constexpr std::uint32_t kChunkBytesSent = 4096;

}  // namespace ribalta::rtmp
