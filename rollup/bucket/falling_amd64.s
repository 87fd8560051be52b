#include "textflag.h"

// integerShift in both lanes.
DATA ·shift<>+0(SB)/8, $0x4338000000000000
DATA ·shift<>+8(SB)/8, $0x4338000000000000
GLOBL ·shift<>(SB), RODATA|NOPTR, $16

// func addPairs(s *floatSums, first *float64, pairs int)
//
// X0 sums, X1 lost, X2 lowest, X3 highest, X4 falls, X5 changes (both negative),
// X6 not zero where a float is no integer, X7 shift.
TEXT ·addPairs(SB), NOSPLIT, $0-24
	MOVQ  s+0(FP), DI
	MOVQ  first+8(FP), SI
	MOVQ  pairs+16(FP), CX
	MOVUPS (DI), X0
	MOVUPS 16(DI), X1
	MOVUPS 32(DI), X2
	MOVUPS 48(DI), X3
	MOVUPS 64(DI), X4
	MOVUPS 80(DI), X5
	MOVUPS 96(DI), X6
	MOVUPS ·shift<>(SB), X7

loop:
	MOVUPS -8(SI), X8  // the floats before
	MOVUPS (SI), X9    // the floats
	ADDPD  X9, X0
	MINPD  X9, X2
	MAXPD  X9, X3
	MOVAPS X9, X10
	CMPPD  X8, X10, $1 // below the one before
	PADDQ  X10, X4
	ANDPS  X8, X10
	ADDPD  X10, X1
	CMPPD  X9, X8, $4  // differs from the one before
	PADDQ  X8, X5
	MOVAPS X9, X10
	ADDPD  X7, X10
	SUBPD  X7, X10
	CMPPD  X9, X10, $4 // no integer, or NaN
	ORPS   X10, X6
	ADDQ   $16, SI
	DECQ   CX
	JNZ    loop

	MOVUPS X0, (DI)
	MOVUPS X1, 16(DI)
	MOVUPS X2, 32(DI)
	MOVUPS X3, 48(DI)
	MOVUPS X4, 64(DI)
	MOVUPS X5, 80(DI)
	MOVUPS X6, 96(DI)
	RET
