"""What of POSIX threads and clocks the two threads of the store use. Declarations, and an inline function."""

from libc.stdint cimport int64_t
from posix.time cimport timespec

from storage.writer cimport pthread_cond_t, pthread_mutex_t, pthread_t

cdef extern from "<pthread.h>" nogil:
    int pthread_create(pthread_t* thread, const void* attributes, void* (*body)(void*) noexcept nogil, void* argument)
    int pthread_join(pthread_t thread, void** result)
    int pthread_mutex_init(pthread_mutex_t* mutex, const void* attributes)
    int pthread_mutex_lock(pthread_mutex_t* mutex)
    int pthread_mutex_unlock(pthread_mutex_t* mutex)
    ctypedef struct pthread_condattr_t:
        pass
    int pthread_condattr_init(pthread_condattr_t* attributes)
    int pthread_condattr_setclock(pthread_condattr_t* attributes, int clock)
    int pthread_cond_init(pthread_cond_t* condition, const pthread_condattr_t* attributes)
    int pthread_cond_wait(pthread_cond_t* condition, pthread_mutex_t* mutex)
    int pthread_cond_timedwait(pthread_cond_t* condition, pthread_mutex_t* mutex, const timespec* until)
    int pthread_cond_broadcast(pthread_cond_t* condition)

cdef extern from "<signal.h>" nogil:
    ctypedef struct sigset_t:
        pass
    int SIG_SETMASK
    int sigfillset(sigset_t* signals)
    int pthread_sigmask(int how, const sigset_t* signals, sigset_t* old)


cdef inline int wait_until(pthread_cond_t* condition, pthread_mutex_t* mutex, int64_t until_us) noexcept nogil:
    """0 or ETIMEDOUT; `until_us` is of `monotonic_us`, and the condition was made with that clock."""
    cdef timespec until
    until.tv_sec = until_us // 1000000
    until.tv_nsec = (until_us % 1000000) * 1000
    return pthread_cond_timedwait(condition, mutex, &until)
