// ribalta-transcode: the worker, its sandboxed child, and `probe`.
#include <string_view>

#include "transcode/sandbox/child_main.h"
#include "transcode/sandbox/child_process.h"

int main(int argc, char** argv) {
  if (argc == 2 && std::string_view{argv[1]} == ribalta::transcode::kChildFlag) return ribalta::transcode::child_main();
  return 2;
}
