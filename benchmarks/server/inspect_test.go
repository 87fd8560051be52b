package server

import "testing"

func TestInspectDividesDataFromIndex(t *testing.T) {
	const text = `edit 3  generations in the log from 2  log 192 bytes, 3 frames

partition   level  generations  series  samples  bytes  B/sample  block
2026-11-21  L2     1-1          200     1728000  1333   0.0008    raw/2026-11-21/l2.tsb
total                                   1728000  1333   0.0008

by                     columns  values   share  bytes  B/sample
kind       index                         24.8%  333    0.0002
kind       floats      261      1127520  75.2%  1000   0.0006

column      transform  order  coder  place   columns  values   share  bytes  B/sample
floats      INT        delta  PACK   frame   261      1127520  75.2%  1000   0.0006
timestamps  -          delta  CONST  inline  2        1728000  0.0%   0      0.0000

section           share  bytes  B/sample
dictionaries      15.0%  200    0.0001
directory fences  0.0%   3      0.0000
directory         0.0%   30     0.0000
header and tail   7.5%   100    0.0001
`
	a, err := parseInspect(text)
	if err != nil || a != (Account{Data: 1033, Index: 300}) {
		t.Fatalf("%+v, %v; want 1033 bytes of data and 300 of index", a, err)
	}
	for _, text := range []string{"", "column bytes B/sample\nfloats many 0.1\n"} {
		if a, err := parseInspect(text); err == nil {
			t.Errorf("%q gave %+v and no error", text, a)
		}
	}
}
