#include "leat/base/error.h"

#include <cerrno>
#include <cstring>

namespace leat {

std::unexpected<Error> fail_errno(int error_number, const std::string& what) {
  Code code = Code::io;
  switch (error_number) {
    case EACCES:
    case EPERM:
    case EROFS:
      code = Code::permission;
      break;
    case ENOENT:
      code = Code::not_found;
      break;
    default:
      break;
  }
  // Not strerror(): it translates, and a static binary loads no locales.
  const char* description = ::strerrordesc_np(error_number);
  return fail(code, what + ": " +
                        (description != nullptr ? std::string(description) : "error " + std::to_string(error_number)));
}

}  // namespace leat
