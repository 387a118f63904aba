// What LeakSanitizer finds in every test and is not ours: cpprestsdk loses a few hundred bytes with
// each cancelled request, c-ares what a resolver of gRPC had when the process ended.
extern "C" const char* __lsan_default_suppressions();
extern "C" const char* __lsan_default_suppressions() { return "leak:libcpprest\nleak:libcares\n"; }
