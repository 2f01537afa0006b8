// RTMP, as publishers speak it. The one header of `rtmp` that other folders include.
//
// A connection is a story in five steps, each in a file of its own, none of which knows a socket or a clock:
//   1. handshake.h     1 + 1536 + 1536 bytes each way; the digest dialect too
//   2. chunk_reader.h  the byte stream is chunks of interleaved messages; whole messages come out, in bounded memory
//   3. amf0.h          commands are AMF0: names, numbers, objects
//   4. commands.h      connect → releaseStream, FCPublish, createStream → publish → (media) → FCUnpublish, deleteStream
//   5. flv.h           audio and video messages are FLV tags: H.264 and AAC headers and frames
// session.h holds them together: bytes in; `PublishRequest`, media, `Announced` and `PublishEnded` out; answers in its
// output. Sockets, deadlines and the control plane are in ingest/door; limits.h names every bound.
#pragma once

#include "ingest/rtmp/flv.h"
#include "ingest/rtmp/limits.h"
#include "ingest/rtmp/session.h"
