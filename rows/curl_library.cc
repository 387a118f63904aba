#include "rows/curl_library.h"

#include <dlfcn.h>

#include <string>

namespace backfill::rows {
namespace {

constexpr char kName[] = "libcurl.so.4";

std::string LastError() {
  const char* const error = dlerror();  // NOLINT(concurrency-mt-unsafe): of this thread
  return error != nullptr ? error : "unknown";
}

Result<CurlLibrary> LoadOnce() {
  const auto fail = [](const std::string& why) {
    return Error{ErrorCode::kInternal, "reading a URL needs libcurl: " + why};
  };
  void* const library = dlopen(kName, RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) return fail(LastError());
  CurlLibrary out;
  bool complete = true;
  const auto find = [&](const char* name, auto& function) {
    void* const symbol = dlsym(library, name);
    complete = complete && symbol != nullptr;
    // NOLINTNEXTLINE: what POSIX promises of dlsym
    function = reinterpret_cast<std::remove_reference_t<decltype(function)>>(symbol);
  };
  find("curl_global_init", out.global_init);
  find("curl_easy_init", out.easy_init);
  find("curl_easy_reset", out.easy_reset);
  find("curl_easy_setopt", out.easy_setopt);
  find("curl_easy_pause", out.easy_pause);
  find("curl_easy_strerror", out.easy_strerror);
  find("curl_easy_cleanup", out.easy_cleanup);
  find("curl_multi_init", out.multi_init);
  find("curl_multi_add_handle", out.multi_add_handle);
  find("curl_multi_remove_handle", out.multi_remove_handle);
  find("curl_multi_perform", out.multi_perform);
  find("curl_multi_info_read", out.multi_info_read);
  find("curl_multi_poll", out.multi_poll);
  find("curl_multi_wakeup", out.multi_wakeup);
  find("curl_multi_cleanup", out.multi_cleanup);
  find("curl_slist_append", out.slist_append);
  find("curl_slist_free_all", out.slist_free_all);
  if (!complete) return fail(std::string(kName) + " is too old");
  if (out.global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) return fail("it does not start");
  return out;
}

}  // namespace

Result<const CurlLibrary*> CurlLibrary::Load() {
  static const Result<CurlLibrary> kLoaded = LoadOnce();
  if (!kLoaded.ok()) return kLoaded.error();
  return &*kLoaded;
}

}  // namespace backfill::rows
