; abi_kernel.asm: a kernel by the text of Xen's public headers alone. It
; makes every hypercall, right and wrong, and prints each answer. It comes
; as an ELF file with notes, linked at C0100000 and loaded at 1 MB.

        bits    32
        org     0xC0100000

SELF    equ     0x7FF0
WILD    equ     0x10000000              ; nothing is mapped there
HOLE    equ     0xFC000000
NOBODY  equ     77                      ; no domain has this number

; TRY "what", hypercall, arguments: make the call and print its answer.
%macro  TRY 2-7
%if %0 > 2
        mov     ebx, %3
%endif
%if %0 > 3
        mov     ecx, %4
%endif
%if %0 > 4
        mov     edx, %5
%endif
%if %0 > 5
        mov     esi, %6
%endif
%if %0 > 6
        mov     edi, %7
%endif
        call    hypercall_page + 32 * %2
        SHOW    %1
%endmacro

%macro  SHOW 1                          ; print a text and EAX
        jmp     %%over
%%text: db      %1, 0
%%over: mov     esi, %%text
        call    report
%endmacro

_start: cld
        mov     esp, stack_top
        mov     [start_info], esi
        mov     ecx, [esi + 36]         ; shared_info, a machine address
        or      ecx, 0x63
        TRY     "update_va_mapping shared_info", 14, shared, ecx, 0, 2

        TRY     "set_trap_table", 0, traps
        TRY     "set_trap_table wild", 0, WILD
        int3
        int     0x81
        TRY     "stack_switch", 3, 0xE021, stack_top
        TRY     "set_callbacks", 4, 0xE019, upcall, 0xE019, failsafe
        TRY     "set_gdt none", 2, zero, 0
        TRY     "set_gdt too long", 2, zero, 7169
        TRY     "set_gdt wild", 2, WILD, 1
        TRY     "set_gdt foreign", 2, one, 1
        TRY     "update_descriptor foreign", 10, 0x1000, 0, 0, 0
        call    frame_of_page
        shl     eax, 12
        lea     ebx, [eax + 4]
        TRY     "update_descriptor odd", 10, ebx, 0, 0, 0
        TRY     "fpu_taskswitch set", 5, 1
        mov     eax, cr0
        and     eax, 8
        SHOW    "cr0.ts"
        clts
        mov     eax, cr0
        and     eax, 8
        SHOW    "cr0.ts cleared"
        TRY     "set_debugreg", 8, 0, _start
        TRY     "set_debugreg in Xen", 8, 0, 0xFF000000
        TRY     "set_debugreg none", 8, 9, 0
        TRY     "set_debugreg port", 8, 7, 0x20001
        TRY     "set_debugreg detect", 8, 7, 0x2000
        TRY     "get_debugreg none", 9, 8
        TRY     "set_debugreg off", 8, 0, 0

        ; The same frame a second time, for reading, then for writing.
        call    frame_of_page
        shl     eax, 12
        or      eax, 0x61
        mov     [entry], eax
        mov     ecx, [entry]
        TRY     "update_va_mapping mask", 14, window, ecx, 0, 2 + WILD
        mov     ecx, [entry]
        TRY     "update_va_mapping read", 14, window, ecx, 0, 2
        mov     eax, [window]
        SHOW    "page read there"
        TRY     "update_va_mapping foreign", 14, window, 0x1063, 0, 2
        TRY     "update_va_mapping in Xen", 14, HOLE, 0, 0, 0
        TRY     "update_va_mapping nowhere", 14, WILD, 0, 0, 0
        mov     esi, [start_info]
        mov     eax, [esi + 60]         ; our page directory
        call    frame_of
        shl     eax, 12
        or      eax, 0x63
        mov     ecx, eax
        TRY     "update_va_mapping table", 14, window, ecx, 0, 2
        TRY     "update_va_otherdomain nobody", 22, window, 0, 0, 0, NOBODY
        TRY     "update_va_otherdomain itself", 22, window, 0, 0, 0, 0
        TRY     "mmu_update none", 1, zero, 0, 0, SELF
        TRY     "mmu_update foreign", 1, update, 1, done, SELF
        mov     eax, [done]
        SHOW    "mmu_update done"
        TRY     "mmu_update nobody", 1, update, 1, 0, NOBODY
        TRY     "mmu_update wild", 1, WILD, 1, 0, SELF
        TRY     "mmu_update in Xen", 1, HOLE, 1, 0, SELF
        TRY     "mmu_update itself", 1, update, 1, 0, 0
        TRY     "mmu_update unknown", 1, command, 1, 0, SELF
        TRY     "mmuext_op flush", 26, flush, 1, done, SELF
        TRY     "mmuext_op pin foreign", 26, pin, 1, 0, SELF
        TRY     "mmuext_op set_ldt odd", 26, ldt, 1, 0, SELF
        TRY     "mmuext_op unknown", 26, strange, 1, 0, SELF
        TRY     "mmuext_op pin no level", 26, pin_l4, 1, 0, SELF
        TRY     "mmuext_op flush wild", 26, multi, 1, 0, SELF
        TRY     "mmuext_op nobody", 26, flush, 1, 0, NOBODY
        TRY     "mmuext_op wild", 26, WILD, 1, 0, SELF

        TRY     "memory_op current", 12, 3, self
        TRY     "memory_op current nobody", 12, 3, nobody
        TRY     "memory_op current wild", 12, 3, WILD
        TRY     "memory_op decrease foreign", 12, 1, reservation
        TRY     "memory_op decrease wild", 12, 1, WILD
        TRY     "memory_op memory_map", 12, 9, zero
        TRY     "memory_op machine map short", 12, 10, one
        TRY     "memory_op add_to_physmap", 12, 7, physmap
        mov     word [physmap], NOBODY
        TRY     "memory_op add_to_physmap nobody", 12, 7, physmap
        TRY     "memory_op add_to_physmap wild", 12, 7, WILD
        TRY     "memory_op unknown", 12, 50, zero

        TRY     "multicall", 13, calls, 3
        mov     eax, [calls + 4]
        SHOW    "multicall version"
        mov     eax, [calls + 36]
        SHOW    "multicall unknown"
        mov     eax, [calls + 68]
        SHOW    "multicall in multicall"
        TRY     "multicall wild", 13, WILD, 1

        TRY     "xen_version", 17, 0, 0
        TRY     "xen_version platform", 17, 5, buffer
        mov     eax, [buffer]
        SHOW    "hole"
        TRY     "xen_version wild", 17, 3, WILD
        TRY     "xen_version pagesize", 17, 7, 0
        TRY     "xen_version pagesize where", 17, 7, one
        TRY     "xen_version features", 17, 6, zero
        TRY     "xen_version features 5", 17, 6, five
        TRY     "xen_version unknown", 17, 50, 0
        TRY     "console_io wild", 18, 0, 4, WILD
        TRY     "console_io unknown", 18, 9, 0, 0
        TRY     "console_io read nothing", 18, 1, 4, buffer
        TRY     "physdev_op set_iopl", 33, 6, one
        TRY     "physdev_op set_iopl 4", 33, 6, four
        TRY     "physdev_op unknown", 33, 50, zero
        TRY     "physdev_op wild", 33, 6, WILD
        TRY     "physdev_op eoi not ours", 33, 12, one
        TRY     "physdev_op bitmap too long", 33, 7, bitmap
        TRY     "vm_assist on", 21, 0, 2
        TRY     "vm_assist off", 21, 1, 2
        TRY     "vm_assist unknown", 21, 0, 9
        TRY     "vm_assist how", 21, 7, 0

        TRY     "grant_table_op setup", 20, 2, setup, 1
        movsx   eax, word [setup + 8]
        SHOW    "grant setup status"
        TRY     "grant_table_op map nobody", 20, 0, map, 1
        movsx   eax, word [map + 18]
        SHOW    "grant map status"
        TRY     "grant_table_op unmap", 20, 1, unmap, 1
        movsx   eax, word [unmap + 20]
        SHOW    "grant unmap status"
        TRY     "grant_table_op unknown", 20, 50, map, 1
        TRY     "grant_table_op wild", 20, 0, WILD, 1
        TRY     "grant_table_op too many", 20, 0, map, 513
        TRY     "grant_table_op setup two", 20, 2, setup, 2
        TRY     "grant_table_op query", 20, 6, query, 1
        mov     eax, [query + 4]
        SHOW    "grant frames"
        movsx   eax, word [query + 12]
        SHOW    "grant query status"

        TRY     "bind_virq timer", 32, 1, virq
        mov     eax, [virq + 8]
        mov     [timer_port], eax
        SHOW    "port"
        TRY     "bind_virq again", 32, 1, virq
        mov     dword [virq], 24
        TRY     "bind_virq unknown", 32, 1, virq
        mov     dword [virq], 1
        mov     dword [virq + 4], 1
        TRY     "bind_virq other vcpu", 32, 1, virq
        TRY     "bind_ipi", 32, 7, ipi
        mov     eax, [ipi + 4]
        mov     [port], eax
        SHOW    "port"
        TRY     "send ipi", 32, 4, port
        TRY     "close ipi", 32, 3, port
        TRY     "close again", 32, 3, port
        TRY     "alloc_unbound", 32, 6, unbound
        mov     eax, [unbound + 4]
        mov     [pair + 4], eax
        SHOW    "port"
        TRY     "bind_interdomain", 32, 0, pair
        mov     eax, [pair + 8]
        mov     [status + 4], eax
        SHOW    "port"
        TRY     "bind_interdomain again", 32, 0, pair
        TRY     "status", 32, 5, status
        mov     eax, [status + 8]
        SHOW    "interdomain"
        TRY     "status nobody", 32, 5, status_nobody
        TRY     "status beyond", 32, 5, status_beyond
        TRY     "bind_pirq not ours", 32, 2, pirq
        TRY     "unmask nothing", 32, 9, thousand
        TRY     "unmask free", 32, 9, hundred
        TRY     "send free", 32, 4, hundred
        TRY     "send wild", 32, 4, WILD
        TRY     "bind_vcpu", 32, 8, pair_vcpu
        TRY     "event_channel_op unknown", 32, 50, zero

        TRY     "set_timer_op", 15, 2000000, 0
        TRY     "sched_op block", 29, 1
        mov     eax, [upcalls]
        SHOW    "upcalls"
        TRY     "sched_op yield", 29, 0
        TRY     "sched_op compat yield", 6, 0
        TRY     "sched_op poll", 29, 3, poll
        TRY     "sched_op poll too many", 29, 3, poll_many
        TRY     "sched_op poll no port", 29, 3, poll_port
        TRY     "sched_op poll wild", 29, 3, WILD
        TRY     "sched_op shutdown wild", 29, 2, WILD
        TRY     "sched_op remote nobody", 29, 4, nobody
        TRY     "sched_op remote wild", 29, 4, WILD
        TRY     "sched_op compat poll", 6, 3, poll
        TRY     "sched_op unknown", 29, 50, 0
        TRY     "vcpu_op is_up", 24, 3, 0
        TRY     "vcpu_op other", 24, 3, 1
        TRY     "vcpu_op beyond", 24, 3, 32
        TRY     "vcpu_op initialise", 24, 0, 0, page
        TRY     "vcpu_op initialise wild", 24, 0, 0, WILD
        TRY     "vcpu_op runstate", 24, 4, 0, buffer
        TRY     "vcpu_op runstate in Xen", 24, 5, 0, area
        TRY     "vcpu_op short period", 24, 6, 0, one
        TRY     "vcpu_op stop", 24, 7, 0
        TRY     "vcpu_op past", 24, 8, 0, past
        TRY     "vcpu_op unknown", 24, 50, 0
        TRY     "callback_op event", 30, 0, callback
        mov     word [callback], 50
        TRY     "callback_op kind", 30, 0, callback
        TRY     "callback_op unknown", 30, 50, callback
        TRY     "callback_op register wild", 30, 0, WILD
        TRY     "callback_op unregister kind", 30, 1, callback
        mov     word [callback], 0
        TRY     "callback_op unregister event", 30, 1, callback

        TRY     "domctl info", 36, info
        mov     dword [info + 4], 4
        TRY     "domctl version", 36, info
        mov     dword [info + 4], 5
        mov     dword [info], 3
        TRY     "domctl pause self", 36, info
        mov     dword [info], 16        ; the scheduler: credit, put, 300, 50
        mov     dword [info + 16], 5
        mov     dword [info + 20], 0
        mov     dword [info + 24], 50 << 16 | 300
        TRY     "domctl scheduler put", 36, info
        mov     dword [info + 20], 1
        mov     dword [info + 24], 0
        TRY     "domctl scheduler get", 36, info
        movzx   eax, word [info + 24]
        SHOW    "weight"
        movzx   eax, word [info + 26]
        SHOW    "cap"
        mov     dword [info + 20], 0
        mov     dword [info + 24], 0
        TRY     "domctl scheduler no cap", 36, info
        mov     dword [info + 16], 4
        TRY     "domctl scheduler other", 36, info
        mov     dword [info], 3
        mov     dword [info + 8], NOBODY
        TRY     "domctl pause nobody", 36, info
        mov     dword [info], 99
        TRY     "domctl unknown", 36, info
        TRY     "domctl wild", 36, WILD
        TRY     "set_segment_base", 25, 0, 0
        TRY     "hypercall 11", 11, 0, 0
        mov     eax, 1000
        int     0x82
        SHOW    "hypercall 1000"
        mov     eax, 1
        db      0x0F, 0x0B, "xen"       ; the prefix that has CPUID emulated
        cpuid
        and     eax, 0
        SHOW    "cpuid"
        mov     eax, 0x10
        mov     ecx, 0
        out     0x80, al                ; IOPL 1, but no such port is ours
        SHOW    "out"
        mov     ebx, 2
        mov     ecx, poweroff
        mov     eax, 29
        int     0x82

; Print the text at ESI, a space, EAX as a signed number, and a new line.
report: pushad
        mov     edi, line
.text:  lodsb
        test    al, al
        jz      .number
        stosb
        jmp     .text
.number:
        mov     al, ' '
        stosb
        mov     eax, [esp + 28]
        test    eax, eax
        jns     .digits
        neg     eax
        mov     byte [edi], '-'
        inc     edi
.digits:
        xor     ecx, ecx
        mov     ebx, 10
.more:  xor     edx, edx
        div     ebx
        push    edx
        inc     ecx
        test    eax, eax
        jnz     .more
.out:   pop     eax
        add     al, '0'
        stosb
        loop    .out
        mov     al, 10
        stosb
        mov     ecx, edi
        sub     ecx, line
        mov     edx, line
        xor     ebx, ebx
        call    hypercall_page + 32 * 18
        popad
        ret

; The machine frame behind the linear address in EAX, or behind `page`.
frame_of_page:
        mov     eax, page
frame_of:
        push    esi
        mov     esi, [start_info]
        mov     esi, [esi + 68]         ; the list of frames
        sub     eax, 0xC0000000
        shr     eax, 12
        mov     eax, [esi + eax * 4]
        pop     esi
        ret

; Handlers end by the iret hypercall, which takes EAX from the stack first.
breakpoint:
        push    eax
        mov     eax, 3
        SHOW    "trap"
        pop     eax
        jmp     hypercall_page + 32 * 23

gate:   push    eax
        mov     eax, 0x81
        SHOW    "trap"
        pop     eax
        jmp     hypercall_page + 32 * 23

general:
        mov     eax, 13
        SHOW    "trap"
        add     esp, 4                  ; the error code
        jmp     hypercall_page + 32 * 23

upcall: inc     dword [upcalls]
        mov     byte [shared], 0
        mov     dword [shared + 4], 0
        mov     dword [shared + 2048], 0
        jmp     hypercall_page + 32 * 23

failsafe:
        ud2

        align   8
traps:  db      3, 3
        dw      0xE019
        dd      breakpoint
        db      13, 4
        dw      0xE019
        dd      general
        db      0x81, 3
        dw      0xE019
        dd      gate
        dd      0, 0

zero:   dd      0, 0
one:    dd      1, 0
four:   dd      4
five:   dd      5, 0
hundred: dd     100
thousand: dd    1000
entry:  dd      0
self:   dd      SELF
nobody: dd      NOBODY
poweroff: dd    0
update: dd      0x1000, 0, 0, 0
flush:  dd      6, 0, 0
command: dd     0x1003, 0, 0, 0
pin:    dd      1, 1, 0
pin_l4: dd      3, 1, 0
multi:  dd      8, 0, WILD
ldt:    dd      13, 4, 1
strange: dd     50, 0, 0
reservation: dd one, 1, 0, 0, SELF
physmap: dd     SELF, 0, 0, 0
bitmap: dd      0, 65537
query:  dd      SELF, 0, 0, 99
calls:  dd      17, 9, 0, 0, 0, 0, 0, 0
        dd      99, 9, 0, 0, 0, 0, 0, 0
        dd      13, 9, 0, 0, 0, 0, 0, 0
setup:  dd      SELF, 1, 99, buffer
map:    dd      window, 0, 2, 0
        dw      NOBODY, 99
        dd      0, 0, 0
unmap:  dd      window, 0, 0, 0, 5, 99
virq:   dd      0, 0, 0
ipi:    dd      0, 0
unbound: dw     SELF, SELF
        dd      0
pair:   dd      SELF, 0, 0
pair_vcpu: dd   3, 0
status: dd      SELF, 0, 0, 0, 0, 0
status_nobody: dd NOBODY, 0, 0, 0, 0, 0
status_beyond: dd SELF, 1000, 0, 0, 0, 0
pirq:   dd      14, 0, 0
poll:   dd      timer_port, 1, 1, 0
poll_many: dd   timer_port, 129, 1, 0
poll_port: dd   thousand_and_more, 1, 1, 0
thousand_and_more: dd 1024
past:   dd      1, 0, 1
area:   dd      HOLE, 0
callback: dw    0, 0
        dd      0xE019, upcall
info:   dd      5, 5, 0, 0
        times 128 db 0
start_info: dd  0
upcalls: dd     0
timer_port: dd  0
port:   dd      0
done:   dd      9
buffer: times 16 dd 0
line:   times 128 db 0

        align   4096
page:   dd      4711
        times 4092 db 0
window: times 4096 db 0
shared: times 4096 db 0
hypercall_page: times 4096 db 0
stack:  times 4096 db 0
stack_top:
