// The life of the media child: read the request, go to jail, work, say how it ended.
#pragma once

namespace ribalta::transcode {

/// How the process ends that found no memory: it can't say more.
inline constexpr int kExitOutOfMemory = 4;

/// @return the process's exit code: 0 when an end (summary or refusal) was told.
int child_main();

}  // namespace ribalta::transcode
