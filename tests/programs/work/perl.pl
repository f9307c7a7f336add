# Work for perl: hashes, sorting, regular expressions, growing strings, threads, fork, pipes. Prints sums only.
use strict;
use warnings;
use threads;
use threads::shared;
use Digest::SHA qw(sha256_hex);
$| = 1;

my $seed = 42;
sub rnd { $seed = ($seed * 1103515245 + 12345) % 2147483648; return int($seed / 65536) % $_[0]; }

sub digest { return substr(sha256_hex($_[0]), 0, 16); }

sub hashes {
    my %table;
    $table{"key $_"} = {id => $_, text => 'x' x rnd(700), list => [1 .. rnd(20)]} for 1 .. 30000;
    delete $table{"key " . $_ * 3} for 1 .. 10000;
    my @sorted = sort { length $table{$b}{text} <=> length $table{$a}{text} || $a cmp $b } keys %table;
    my $sum = 0;
    $sum += length($_->{text}) + @{$_->{list}} for values %table;
    print 'hashes ', scalar(keys %table), " $sum @sorted[0 .. 2]\n";
}

sub strings {
    my $text = '';
    $text .= sprintf('%06d %s;', $_, chr(97 + $_ % 26) x ($_ % 50)) for 1 .. 60000;
    my $count = () = $text =~ /\b(\d+5) (a+|b+);/g;
    (my $changed = $text) =~ s/([c-f]+)/<$1>/g;
    my @parts = split /;/, $changed;
    print 'strings ', length($text), " $count ", digest(join '|', reverse @parts), "\n";
}

sub team {
    my $total : shared = 0;
    for my $round (1 .. 2) {
        my @team = map {
            my $n = $_;
            threads->create(sub {
                my @kept;
                for my $i (1 .. 4000) {
                    push @kept, 'y' x (($i * $n) % 3000);
                    shift @kept if @kept > 200;
                }
                my $sum = 0;
                $sum += length for @kept;
                lock $total;
                $total += $sum;
            });
        } 1 .. 4;
        $_->join for @team;
    }
    print "threads $total\n";
}

sub children {
    for my $n (1 .. 6) {
        my $child = open(my $pipe, '-|') // die "fork: $!";
        if (!$child) {
            my @data = map { 'z' x $_ } 1 .. 1000 * $n / 2;
            print length(join '', @data), "\n";
            exit $n;
        }
        chomp(my $answer = <$pipe>);
        close $pipe;
        print "child $n $answer ", $? >> 8, "\n";
    }
    print 'command ', `echo one two | wc -w`;
}

hashes();
strings();
team();
children();
