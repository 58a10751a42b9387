; host: a small host operating system, such as Linux or Windows is to a
; hosted virtual machine monitor (VMware Workstation).
;
; Its kernel has drivers for timer, disk and network adapter, processes with
; page tables of their own, and system calls that can wait. Run by itself it
; tests all of these and ends. As a host it starts one process, VMApp, whose
; system call SYSTEM_RUN leads through VMDriver into the other world.
;
; An entry from ring 3 saves the process in its slot, as in minikernel:
;
;       slot + 0    state, directory, what it waits for, exit value, number
;            + 204  EDI ESI EBP ESP EBX EDX ECX EAX      by PUSHAD
;            + 236  EIP CS EFLAGS ESP SS                 by the processor
;            + 256  the end: TSS.ESP0
;
; A system call that has to wait is made again when the process wakes: its
; EIP goes back to the INT. The kernel itself is never interrupted, but
; where it has nothing to do.

%define HOST_DESCRIPTORS
%include "abi.inc"
%include "host_shared.inc"

VMDRIVER_CODE   equ     0x30            ; see support_native.inc
VMAPP_CODE      equ     0x38 + 3

SLOT_STATE      equ     0
SLOT_SPACE      equ     4
SLOT_WAITS      equ     8
SLOT_VALUE      equ     12
SLOT_NUMBER     equ     16
SLOT_AGAIN      equ     20              ; select has waited already
SLOT_REGISTERS  equ     204
SLOT_EAX        equ     232
SLOT_FRAME      equ     236
SLOT            equ     256
OVER            equ     0
READY           equ     1
WAITING         equ     2

WAIT_DISK       equ     1
WAIT_PACKET     equ     2
WAIT_TIMER      equ     4
WAIT_SEND       equ     8
WAIT_INPUT      equ     16

SYSTEM_EXIT     equ     0               ; EBX = value
SYSTEM_WRITE    equ     1               ; EBX = file, ECX = from, EDX = count
SYSTEM_READ     equ     2               ; EBX = file, ECX = to, EDX = count
SYSTEM_SEEK     equ     3               ; ECX = sector
SYSTEM_SELECT   equ     4               ; EBX = timer counts, 0, or -1
SYSTEM_ATTACH   equ     5               ; ECX = station address
SYSTEM_RUN      equ     6               ; to VMDriver
SYSTEM_YIELD    equ     7
SYSTEM_CALLS    equ     8
FILE_CONSOLE    equ     0
FILE_NETWORK    equ     1
FILE_DISK       equ     2
FILE_IDENTITY   equ     3               ; what the disk says of itself
SELECT_PACKET   equ     1
SELECT_INPUT    equ     2

_start:
mark_start:
        START_KERNEL
        call    console_start
        call    memory_start
        call    interrupts_start
        call    disk_start
        call    network_start
mark_drivers:
        mov     ebp, process_1
        mov     eax, vmapp
        mov     edx, VMAPP_CODE
        cmp     dword [shared_page + S_GUEST], 0
        jne     .last
        mov     dword [tick], 48        ; 40 us: they take turns
        mov     edx, USER_CODE
        mov     eax, program_disk
        call    create
        add     ebp, SLOT
        mov     eax, program_network
        call    create
        add     ebp, SLOT
        mov     eax, program_primes
.last:  call    create
mark_created:
        mov     dword [current], process_1
        mov     eax, [tick]
        test    eax, eax
        jz      reschedule
        call    timer_program
        jmp     reschedule

; ---- entries from ring 3 ---------------------------------------------

system_call:
        cld
        pushad
        mov     esp, kernel_stack_top
        mov     ebp, [current]
        cmp     eax, SYSTEM_CALLS
        jae     refuse
        jmp     [system_calls + eax * 4]

refuse: mov     eax, -1
answer: mov     [ebp + SLOT_EAX], eax
resume: mov     esp, [current]
        add     esp, SLOT_REGISTERS
        popad
        iret

; The current process waits for EAX, and then makes its call again.
block:  mov     [ebp + SLOT_WAITS], eax
        mov     dword [ebp + SLOT_STATE], WAITING
        sub     dword [ebp + SLOT_FRAME], 2     ; INT 0x80 is two bytes

; Continue a process, or wait until there is one.
reschedule:
        mov     esp, kernel_stack_top
        call    pick
        jnc     resume
        sti                             ; which takes hold after HLT
        hlt
        cli
        jmp     reschedule

; Take the next process that is ready, round and round. CF: there is none.
pick:   mov     esi, [current]
        mov     ecx, PROCESSES
.next:  add     esi, SLOT
        cmp     esi, processes_end
        jb      .look
        mov     esi, processes
.look:  cmp     dword [esi + SLOT_STATE], READY
        je      .found
        dec     ecx
        jnz     .next
        stc
        ret
.found: mov     [current], esi
        lea     eax, [esi + SLOT]
        KERNEL_STACK eax                ; the next entry saves it here
        mov     eax, [esi + SLOT_SPACE]
        mov     ecx, cr3
        cmp     eax, ecx
        je      .same
        mov     cr3, eax
.same:  clc
        ret

; Whoever waits for one of EAX is ready.
wake:   mov     esi, processes
.next:  test    [esi + SLOT_WAITS], eax
        jz      .not
        mov     dword [esi + SLOT_WAITS], 0
        mov     dword [esi + SLOT_STATE], READY
.not:   add     esi, SLOT
        cmp     esi, processes_end
        jb      .next
        ret

system_write:
        cmp     ebx, FILE_NETWORK
        je      network_write
        cmp     ebx, FILE_DISK
        je      disk_write
        cmp     ebx, FILE_CONSOLE
        jne     refuse
        mov     esi, ecx
        mov     ecx, edx
        call    console_write
        mov     eax, edx
        jmp     answer

system_read:
        cmp     ebx, FILE_NETWORK
        je      network_read
        cmp     ebx, FILE_DISK
        je      disk_read
        cmp     ebx, FILE_IDENTITY
        jne     refuse
        mov     esi, disk_identity
        mov     edi, ecx
        mov     ecx, SECTOR / 4
        rep     movsd
        mov     eax, [disk_sectors]
        jmp     answer

system_seek:
        mov     [disk_position], ecx
        mov     eax, ecx
        jmp     answer

; Wait for a frame or an input, for EBX timer counts at most.
system_select:
        xor     eax, eax
        cmp     dword [queue_count], 0
        je      .input
        or      eax, SELECT_PACKET
.input: cmp     dword [shared_page + S_INPUT], 0
        je      .any
        or      eax, SELECT_INPUT
.any:   test    eax, eax
        jnz     .over
        test    ebx, ebx
        jz      .over
        xchg    eax, [ebp + SLOT_AGAIN]
        test    eax, eax
        mov     eax, 0
        jnz     .over                   ; the time is over
        mov     dword [ebp + SLOT_AGAIN], 1
        mov     eax, WAIT_PACKET | WAIT_INPUT
        cmp     ebx, -1
        je      block
        mov     eax, ebx
        call    timer_program
        mov     eax, WAIT_PACKET | WAIT_INPUT | WAIT_TIMER
        jmp     block
.over:  mov     dword [ebp + SLOT_AGAIN], 0
        jmp     answer

system_run:
        call    VMDRIVER_CODE:vmdriver
        jmp     answer

system_yield:
        mov     dword [ebp + SLOT_EAX], 0
        jmp     reschedule

system_exit:
        mov     [ebp + SLOT_VALUE], ebx
        mov     dword [ebp + SLOT_STATE], OVER
        dec     dword [running]
        jnz     reschedule
        jmp     finish

; ---- interrupts ------------------------------------------------------

; An interrupt finds a process (ring 3), or ring 0: the kernel in its HLT,
; or VMDriver, which raises again what has come to the VMM.
%macro SERVE 2                          ; handler, driver
%1:     cld
        pushad
        test    byte [esp + 32 + 4], 2  ; CS: this bit is set in ring 3
        jz      %%inside
        mov     esp, kernel_stack_top
        call    %2
        jmp     resume
%%inside:
        call    %2
        popad
        iret
%endmacro

        SERVE   keyboard_gate, input_interrupt
        SERVE   serial_gate, input_interrupt
        SERVE   network_gate, network_interrupt
        SERVE   disk_gate, disk_interrupt

; The timer, which takes the processor from a process.
timer_gate:
        cld
        pushad
        test    byte [esp + 32 + 4], 2
        jz      .inside
        mov     esp, kernel_stack_top
        call    timer_interrupt
        jmp     reschedule
.inside:
        call    timer_interrupt
        popad
        iret

timer_interrupt:
        inc     dword [ticks]
        mov     dword [timer_armed], 0
        mov     dword [shared_page + S_FIRED], 1
        call    end_first
        mov     eax, [tick]
        test    eax, eax
        jz      .wake
        call    timer_program
.wake:  mov     eax, WAIT_TIMER
        jmp     wake

; Keys and characters are for the VM, whose console they come from.
input_interrupt:
        mov     dword [shared_page + S_INPUT], 1
        call    end_first
        mov     eax, WAIT_INPUT
        jmp     wake

; End of interrupt, at the second 8259 and at the first.
end_second:
        mov     al, 0x20
        out     0xA0, al
end_first:
        mov     al, 0x20
        out     0x20, al
        ret

; The 8259s: vectors 0x20 to 0x2F; the timer counts down once when asked.
interrupts_start:
        mov     al, 0x11                ; ICW1: both, edge, cascade
        out     0x20, al
        out     0xA0, al
        mov     al, 0x20                ; ICW2: vectors
        out     0x21, al
        mov     al, 0x28
        out     0xA1, al
        mov     al, 0x04                ; ICW3: the second hangs on IRQ 2
        out     0x21, al
        mov     al, 0x02
        out     0xA1, al
        mov     al, 0x01                ; ICW4: 8086 mode
        out     0x21, al
        out     0xA1, al
        mov     al, 0xFA                ; timer and the second one
        cmp     dword [shared_page + S_GUEST], 0
        je      .mask
        mov     al, 0xE8                ; and keyboard and serial port
.mask:  out     0x21, al
        mov     al, 0xBB                ; network adapter and disk
        out     0xA1, al
        mov     al, 0x30                ; counter 0, low then high, once
        out     0x43, al
        ret

; An interrupt in EAX timer counts (838 ns each), instead of any before.
timer_program:
        mov     dword [timer_armed], 1
        out     0x40, al
        mov     al, ah
        out     0x40, al
        ret

%include "host_finish.inc"

PROCESSES       equ     3
        align   4
system_calls:   dd      system_exit, system_write, system_read, system_seek
                dd      system_select, system_attach
                dd      system_run, system_yield


TRAPS
        TRAP    7, x87_fault, RING_0, INTERRUPT_GATE
        TRAP    14, page_fault, RING_0, INTERRUPT_GATE
        TRAP    0x20, timer_gate, RING_0, INTERRUPT_GATE
        TRAP    0x21, keyboard_gate, RING_0, INTERRUPT_GATE
        TRAP    0x24, serial_gate, RING_0, INTERRUPT_GATE
        TRAP    0x2A, network_gate, RING_0, INTERRUPT_GATE
        TRAP    0x2E, disk_gate, RING_0, INTERRUPT_GATE
        TRAP    0x80, system_call, RING_3, INTERRUPT_GATE
END_TRAPS

%include "host_memory.inc"
%include "host_disk.inc"
%include "host_network.inc"
%include "support.inc"
%include "host_data.inc"
%include "host_vmdriver.inc"

; ---- ring 3 ----------------------------------------------------------

        align   PAGE
application:
%include "host_programs.inc"
%include "host_vmapp.inc"
%include "host_vmapp_network.inc"
%include "host_vmapp_receive.inc"
%include "host_vmapp_disk.inc"
        align   PAGE                    ; what one of them writes to
test_frame:     db      0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF
                db      2, 0, 0, 0, 0, 7
                db      0x88, 0xB5, 0, 0
                times   TEST_LENGTH - 16 db 0x5A
        align   PAGE
application_end:
image_end:
