; Conditional assembly.
        bits    32
LIMIT   equ     5
%define YES
%define NUMBER  4
%define WORD_   alpha
%macro  known 0
%endmacro
%ifdef YES
        db      1
%else
        db      2
%endif
%ifndef YES
        db      3
%elifdef NUMBER
        db      4
%else
        db      5
%endif
%if NUMBER > 3 && NUMBER < 5
        db      6
  %if NUMBER = 1
        db      7
  %elif NUMBER = 4
        db      8
  %elif NUMBER = 4
        db      9
  %else
        db      10
  %endif
%endif
%if 0
        this is not 'even source
%if 1
        db      11
%else
%error  never
%endif
%endif
%ifidn WORD_, alpha
        db      12
%endif
%ifidni WORD_, ALPHA
        db      13
%endif
%ifnidn WORD_, ALPHA
        db      14
%endif
%ifmacro known
        db      15
%endif
%ifnum NUMBER
        db      16
%endif
%ifstr 'text'
        db      17
%endif
%ifid eax
        db      18
%endif
%ifempty
        db      19
%endif
%if LIMIT == 5
        db      20
%endif
%macro  choose 1
%ifidn %1, eax
        db      21
%elifidn %1, ebx
        db      22
%elifnum %1
        db      23
%else
        db      24
%endif
%endmacro
        choose  eax
        choose  ebx
        choose  5
        choose  other
%assign i 0
%rep    LIMIT
%if i % 2
        db      i
%endif
%assign i i + 1
%endrep
        times   LIMIT db 0x55
