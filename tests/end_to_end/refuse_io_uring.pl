# perl refuse_io_uring.pl ARCH ERRNO PROGRAM ARGUMENT...
# Becomes the program, to which io_uring_setup fails with ERRNO: a seccomp filter, as a container's
# profile has it (1, EPERM) or as a kernel without io_uring looks (38, ENOSYS). Perl is on every
# Debian; the alternative, sysctl kernel.io_uring_disabled, would hit all of the machine.
use strict;
my ($arch, $errno, @command) = @ARGV;
my ($prctl, $seccomp) = $arch eq "aarch64" ? (167, 277) : (157, 317);
my ($PR_SET_NO_NEW_PRIVS, $SECCOMP_SET_MODE_FILTER, $IO_URING_SETUP) = (38, 1, 425);
my ($LOAD, $JUMP_IF_EQUAL, $RETURN) = (0x20, 0x15, 0x06);
my ($RET_ERRNO, $RET_ALLOW) = (0x00050000, 0x7fff0000);
my $filter = join "", map { pack "S C C L", @$_ } (
    [$LOAD, 0, 0, 0], # seccomp_data.nr
    [$JUMP_IF_EQUAL, 0, 1, $IO_URING_SETUP],
    [$RETURN, 0, 0, $RET_ERRNO | $errno],
    [$RETURN, 0, 0, $RET_ALLOW],
);
my $program = pack "S x6 P", 4, $filter;
syscall($prctl, $PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 or die "no_new_privs: $!";
syscall($seccomp, $SECCOMP_SET_MODE_FILTER, 0, $program) == 0 or die "seccomp: $!";
exec { $command[0] } @command or die "$command[0]: $!";
