// `ribalta-transcode file`: the work of an upload on a file of this machine, into a folder, without a control plane.
#pragma once

namespace ribalta::transcode {

/// Arguments after `file`: FILE FOLDER [--preset P] [--crf N] [--short-side N] [--cores N]. Prints one JSON object.
/// @return 0 done, 1 refused or failed (said in the object), 2 bad usage.
int local_main(int argc, char** argv);

}  // namespace ribalta::transcode
