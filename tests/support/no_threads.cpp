// To be preloaded: a process that may have no second thread, whoever runs it. (ulimit -u says nothing to root.)
#include <pthread.h>

#include <cerrno>

extern "C" int pthread_create(pthread_t*, const pthread_attr_t*, void* (*)(void*), void*) noexcept { return EAGAIN; }
