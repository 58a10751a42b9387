; Single-line and multi-line macros, repetition, rotation, local labels.
        bits    32
%define ONE     1
%define TWO     (ONE + ONE)
%define add3(a, b, c) ((a) + (b) + (c))
%define join(a, b) a %+ b
%define self    self
%define empty
%xdefine KEPT   ONE
%undef ONE
%define ONE     100
%idefine Folded 7
%assign count   3 * 4
%assign count   count + 1
        dd      ONE, TWO, KEPT, add3(1, 2, TWO), FOLDED, folded, count
        db      empty 5
self:   jmp     self
join(la, bel):  jmp label
%define later   after_all
after_all:
        dd      later

%macro  prologue 1
        push    ebp
        mov     ebp, esp
        sub     esp, %1
%endmacro
%macro  wait_for 2
%%again: in     al, %1
        test    al, %2
        jz      %%again
%endmacro
%macro  store 1-3 7, {8, 9}
        db      %1, %2, %3, %0
%endmacro
%macro  text 1+
        db      %1, 0
%%end:  dd      %%end
%endmacro
%macro  entry 2
trap_%1:
        push    %2
.%1_in: jmp     trap_%1.%1_in
        dd      trap_%{1}x
trap_%1x:
%endmacro
%macro  pushes 1-*
%rep    %0
        push    %1
%rotate 1
%endrep
%endmacro
%macro  pops 1-*
%rep    %0
%rotate -1
        pop     %1
%endrep
%endmacro
%macro  unless 2
        j%-1    %%skip
        %2
%%skip: j%+1    %%skip
%endmacro
%macro  nested 1
        prologue %1
        unless  z, nop
%endmacro
%macro  cli 0
        cli
        nop
%endmacro
%macro  many 0
        db      0
%endmacro
%macro  many 1
        db      %1
%endmacro
%macro  many 2
        many    %1
        many    %2
%endmacro
%imacro Shout 0
        db      '!'
%endmacro
        prologue 16
        wait_for 0x64, 2
        wait_for 0x60, 1
        store   1
        store   1, 2
        store   1, 2, 3
        text    'a', 10, "b,c"
        entry   14, 0
        pushes  eax, ebx, ecx
        pops    eax, ebx, ecx
        unless  nc, {mov eax, [ebx]}
        unless  e, ret
        nested  200
here:   prologue 4
there   prologue 8
        jmp     here
        jmp     there
        cli
        many
        many    1
        many    2, 3
        SHOUT
%rep    3
        db      count
%assign count   count - 1
%if count < 12
%exitrep
%endif
%endrep
%assign n 0
%rep 4
isr %+ n: push  byte n
        jmp     isr %+ n
%assign n n + 1
%endrep
%strlen size 'twelve chars'
        db      size
