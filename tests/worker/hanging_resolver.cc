// Preloaded into a worker: a name server that never answers. Numbers are no names.
#include <netdb.h>
#include <unistd.h>

extern "C" int getaddrinfo(const char*, const char*, const addrinfo*, addrinfo**) {
  while (true) ::pause();
}
